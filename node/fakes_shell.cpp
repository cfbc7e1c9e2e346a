#include "node/fakes_shell.hpp"

#include <algorithm>
#include <charconv>

#include "wire/daemon/durable_file.hpp"
#include "wire/daemon/log.hpp"

namespace muster::node {
namespace {

constexpr Poller::Tag kUsers = 0xffff'fff0;
constexpr Poller::Tag kSignals = 0xffff'fff1;
constexpr int kBatchMax = 256;  // frames per wake-up and socket
constexpr Duration kNoteEvery = Duration::from_seconds(10);
constexpr Duration kUserSilence = Duration::from_seconds(60);
constexpr std::string_view kStateHead = "muster-fakes-state 1";

// The number at the front of `text`, which is cut off with the blank behind it.
template <class T>
bool take_number(std::string_view& text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) {
    return false;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  text.remove_prefix(text.starts_with(' ') ? 1 : 0);
  return true;
}

}  // namespace

std::string encode_fake_memory(const FakeMemory& memory) {
  std::string text(kStateHead);
  text += "\nepoch " + std::to_string(memory.highest_epoch.value()) + "\n";
  for (const auto& [node, reason] : memory.drained) {
    std::string line = reason;
    std::replace(line.begin(), line.end(), '\n', ' ');
    text += "drained " + std::to_string(node) + " " + line + "\n";
  }
  return text + "end\n";
}

Result<FakeMemory> decode_fake_memory(std::string_view text) {
  FakeMemory memory;
  bool headed = false;
  while (!text.empty()) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (!headed) {
      headed = line == kStateHead;
      if (!headed) {
        break;
      }
      continue;
    }
    if (line == "end") {
      return memory;
    }
    const auto blank = line.find(' ');
    const std::string_view name = line.substr(0, blank);
    line.remove_prefix(blank == std::string_view::npos ? line.size() : blank + 1);
    std::uint64_t epoch = 0;
    std::uint32_t node = 0;
    if (name == "epoch" && take_number(line, epoch)) {
      memory.highest_epoch = Epoch(epoch);
    } else if (name == "drained" && take_number(line, node)) {
      memory.drained[node] = line;
    } else {
      break;
    }
  }
  return fail(Errc::malformed, "it is not what muster-fakes writes; move it away, and drains of nodes are forgotten");
}

Result<std::unique_ptr<FakesShell>> FakesShell::open(Context& context, const FakesPlan& given) {
  FakesPlan plan = given;
  if (auto made = make_directory(plan.folder); !made) {
    return tl::unexpected(made.error());
  }
  auto lock = LockFile::acquire(plan.folder + "/lock", "muster-fakes");
  if (!lock) {
    return tl::unexpected(lock.error());
  }
  FakeMemory memory;
  const std::string state = plan.folder + "/fakes.state";
  if (const auto text = read_file(state)) {
    auto read = decode_fake_memory(*text);
    if (!read) {
      return fail(read.error().code, state + ": " + read.error().text);
    }
    memory = *std::move(read);
  } else if (text.error().code != Errc::not_found) {
    return tl::unexpected(text.error());
  }
  auto job = ipc_endpoint(plan.folder + "/job.ipc");
  if (!job) {
    return tl::unexpected(job.error());
  }
  auto users = Router::bind(context, std::vector<Endpoint>{*job});
  if (!users) {
    return tl::unexpected(users.error());
  }
  plan.config.endpoint = users->endpoints().front().to_string();
  std::unique_ptr<FakesShell> shell(new FakesShell(std::move(plan), *std::move(lock), memory, *std::move(users)));
  for (std::uint32_t i = 0; i < shell->plan_.config.links; ++i) {
    auto dealer = Dealer::connect(context, shell->plan_.master);
    if (!dealer) {
      return tl::unexpected(dealer.error());
    }
    shell->links_.push_back({*std::move(dealer), {}});
  }
  for (std::uint32_t i = 0; i < shell->plan_.config.links; ++i) {
    shell->poller_.add(shell->links_[i].dealer, i);
  }
  shell->poller_.add(shell->users_, kUsers);
  return shell;
}

void FakesShell::read_link(std::uint32_t place) {
  Link& link = links_[place];
  while (const auto change = link.dealer.next_change()) {
    if (*change == LinkChange::up) {
      core_.on_link_up(place, clock_.now());
    } else {
      link.out.clear();
      core_.on_link_down(place, clock_.now());
    }
  }
  for (int i = 0; i < kBatchMax; ++i) {
    const auto got = link.dealer.receive(buffer_);
    if (!got) {
      log::error("link " + std::to_string(place) + ": " + got.error().text);
      return;
    }
    if (!*got) {
      return;
    }
    if (const auto frame = verify_frame(buffer_)) {
      core_.on_frame(place, **frame, clock_.now());
    } else {
      core_.on_bad_frame(place, frame.error(), clock_.now());
    }
  }
}

void FakesShell::read_users() {
  const Instant now = clock_.now().mono;
  for (int i = 0; i < kBatchMax; ++i) {
    Incoming in;
    const auto got = users_.receive(in, now);
    if (!got) {
      log::error("job socket: " + got.error().text);
      return;
    }
    if (!*got) {
      break;
    }
    in.message.copy_to(buffer_);
    const auto frame = in.several_parts ? tl::unexpected(FrameError{fb::RefusedCode::Malformed, "a message of several parts"})
                                        : verify_frame(buffer_);
    const FrameBytes answer =
        frame ? core_.answer_user(**frame) : refused_frame({}, {frame.error().code, 0, 0, "frame", frame.error().text});
    if (!answer.empty()) {
      static_cast<void>(users_.send(in.link, answer));  // whoever went away asks again
    }
  }
  if (now - users_swept_ > kUserSilence) {
    users_swept_ = now;
    std::vector<LinkId> lost;
    users_.forget_silent(now - kUserSilence, lost);
  }
}

void FakesShell::send(std::uint32_t place) {
  Link& link = links_[place];
  while (!link.out.empty()) {
    const auto sent = link.dealer.send(link.out.front());
    if (!sent) {
      log::error("link " + std::to_string(place) + ": " + sent.error().text);
      link.out.clear();
      break;
    }
    if (*sent == SendOutcome::would_block) {
      poller_.watch_write(place, link.dealer.is_up());
      return;
    }
    link.out.pop_front();
  }
  poller_.watch_write(place, false);
}

Status FakesShell::carry_out() {
  FakeOutputs out;
  core_.flush(clock_.now(), out);
  if (out.memory_changed) {
    if (auto kept = write_durably(plan_.folder + "/fakes.state", encode_fake_memory(core_.memory())); !kept) {
      return kept;
    }
  }
  std::vector<std::uint32_t> touched;
  for (FakeOutputs::Frame& frame : out.to_master) {
    links_[frame.link].out.push_back(std::move(frame.bytes));
    if (touched.empty() || touched.back() != frame.link) {
      touched.push_back(frame.link);
    }
  }
  for (const std::uint32_t link : touched) {
    send(link);
  }
  return {};
}

void FakesShell::note_changes() {
  const Instant now = clock_.now().mono;
  if (now - noted_ < kNoteEvery) {
    return;
  }
  noted_ = now;
  if (std::string text = core_.status_text(); text != status_) {
    status_ = std::move(text);
    log::info(status_);
  }
}

Status FakesShell::run(const SignalFd& signals) {
  poller_.add_fd(signals.fd(), kSignals);
  for (bool leaving = false; !leaving;) {
    if (auto done = carry_out(); !done) {
      return done;
    }
    note_changes();
    const auto events = poller_.wait(core_.next_timer());
    if (!events) {
      return tl::unexpected(events.error());
    }
    for (const Poller::Event& event : *events) {
      if (event.tag == kUsers) {
        read_users();
      } else if (event.tag == kSignals) {
        leaving = signals.next().has_value() || leaving;
      } else {
        read_link(event.tag);
        if (event.writable) {
          send(event.tag);
        }
      }
    }
    core_.on_timer(clock_.now());
  }
  log::info("leaving: " + core_.status_text());
  core_.on_leaving(clock_.now());
  return carry_out();  // last words
}

}  // namespace muster::node
