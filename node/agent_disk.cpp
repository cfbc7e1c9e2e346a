#include "node/agent_disk.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <utility>

#include "node/exec/codec.hpp"
#include "wire/daemon/durable_file.hpp"

namespace muster::node {
namespace {

constexpr std::uint64_t kIncarnationReserve = 1000;
constexpr std::size_t kOutputsBytesMax = 4U << 20U;  // then outputs becomes outputs.old
constexpr std::string_view kStateHead = "muster-node-state 1";

template <class T>
bool read_number(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

// Records of `bytes`; `valid` is where a torn tail begins.
std::vector<std::string> split_records(const std::string& bytes, std::size_t& valid) {
  std::vector<std::string> records;
  ByteReader in(bytes);
  valid = 0;
  while (in.remaining() > 0) {
    std::string record = in.get_string();
    if (!in.ok()) {
      break;
    }
    valid = bytes.size() - in.remaining();
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace

std::string encode_memory(const NodeMemory& memory) {
  std::string reason = memory.drain_reason;
  for (char& c : reason) {
    if (c == '\n') {
      c = ' ';
    }
  }
  std::string text(kStateHead);
  text += "\nepoch " + std::to_string(memory.highest_epoch.value());
  text += "\nincarnation " + std::to_string(memory.last_incarnation.value());
  text += "\ndrained " + std::to_string(memory.drained ? 1 : 0);
  text += "\nreason " + reason;
  text += "\ncontact_ns " + std::to_string(memory.last_contact.ns());
  text += "\nfence_ns " + std::to_string(memory.fence.ns());
  return text + "\nend\n";
}

Result<NodeMemory> decode_memory(std::string_view text) {
  NodeMemory memory;
  bool head = false;
  bool end = false;
  while (!text.empty() && !end) {
    const auto newline = text.find('\n');
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    if (!head) {
      if (line != kStateHead) {
        return fail(Errc::malformed, "its first line is not '" + std::string(kStateHead) + "'");
      }
      head = true;
      continue;
    }
    const auto space = line.find(' ');
    const std::string_view name = line.substr(0, space);
    const std::string_view value = space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
    std::uint64_t number = 0;
    std::int64_t time = 0;
    if (name == "end") {
      end = true;
    } else if (name == "epoch" && read_number(value, number)) {
      memory.highest_epoch = Epoch(number);
    } else if (name == "incarnation" && read_number(value, number)) {
      memory.last_incarnation = Incarnation(number);
    } else if (name == "drained" && read_number(value, number) && number <= 1) {
      memory.drained = number == 1;
    } else if (name == "reason") {
      memory.drain_reason = value;
    } else if (name == "contact_ns" && read_number(value, time)) {
      memory.last_contact = WallTime::from_ns(time);
    } else if (name == "fence_ns" && read_number(value, time) && time >= 0) {
      memory.fence = Duration::from_ns(time);
    } else {
      return fail(Errc::malformed, "'" + std::string(line) + "' is not understood");
    }
  }
  if (!end) {
    return fail(Errc::malformed, "it ends too early");
  }
  return memory;
}

Result<AgentDisk> AgentDisk::open(const std::string& folder) {
  NodeMemory memory;
  const std::string state_path = folder + "/node.state";
  if (auto text = read_file(state_path)) {
    auto read = decode_memory(*text);
    if (!read) {
      return fail(Errc::malformed, state_path + ": " + read.error().text +
                                       "; it holds the highest epoch this node has seen: remove it only if no older "
                                       "master can be running");
    }
    memory = *std::move(read);
  } else if (text.error().code != Errc::not_found) {
    return tl::unexpected(text.error());
  }
  AgentDisk disk(folder, std::move(memory));
  const std::string outputs_path = folder + "/outputs";
  disk.outputs_fd_ = ::open(outputs_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (disk.outputs_fd_ < 0) {
    return fail_errno(errno, "open " + outputs_path);
  }
  if (auto bytes = read_file(outputs_path)) {
    std::size_t valid = 0;
    static_cast<void>(split_records(*bytes, valid));
    if (valid != bytes->size() && ::ftruncate(disk.outputs_fd_, static_cast<off_t>(valid)) != 0) {
      return fail_errno(errno, "truncate " + outputs_path);
    }
    disk.outputs_bytes_ = valid;
  }
  return disk;
}

AgentDisk::AgentDisk(AgentDisk&& other) noexcept
    : folder_(std::move(other.folder_)),
      persisted_(std::move(other.persisted_)),
      outputs_fd_(std::exchange(other.outputs_fd_, -1)),
      outputs_bytes_(other.outputs_bytes_) {}

AgentDisk::~AgentDisk() {
  if (outputs_fd_ >= 0) {
    ::close(outputs_fd_);
  }
}

Status AgentDisk::remember(const NodeMemory& memory) {
  NodeMemory wanted = memory;
  const bool incarnation_covered = memory.last_incarnation <= persisted_.last_incarnation;
  wanted.last_incarnation = persisted_.last_incarnation;
  if (incarnation_covered && wanted == persisted_) {
    return {};
  }
  // The time of contact alone may be lost in a power cut: no task survives one.
  NodeMemory but_contact = wanted;
  but_contact.last_contact = persisted_.last_contact;
  const bool sync = !incarnation_covered || !(but_contact == persisted_);
  if (!incarnation_covered) {
    wanted.last_incarnation = Incarnation(memory.last_incarnation.value() + kIncarnationReserve);
  }
  if (auto written = write_durably(folder_ + "/node.state", encode_memory(wanted), {.sync = sync}); !written) {
    return written;
  }
  persisted_ = std::move(wanted);
  return {};
}

std::vector<std::string> AgentDisk::load_outputs() const {
  std::vector<std::string> all;
  for (const char* name : {"/outputs.old", "/outputs"}) {
    if (const auto bytes = read_file(folder_ + name)) {
      std::size_t valid = 0;
      for (std::string& record : split_records(*bytes, valid)) {
        all.push_back(std::move(record));
      }
    }
  }
  return all;
}

Status AgentDisk::append_outputs(const std::vector<std::string>& records) {
  ByteWriter out;
  for (const std::string& record : records) {
    out.put_string(record);
  }
  const std::string& bytes = out.bytes();
  const std::string path = folder_ + "/outputs";
  if (outputs_bytes_ + bytes.size() > kOutputsBytesMax && outputs_bytes_ > 0) {
    if (::rename(path.c_str(), (path + ".old").c_str()) != 0) {
      return fail_errno(errno, "rename " + path);
    }
    ::close(outputs_fd_);
    outputs_fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    outputs_bytes_ = 0;
    if (outputs_fd_ < 0) {
      return fail_errno(errno, "open " + path);
    }
  }
  const ssize_t wrote = ::write(outputs_fd_, bytes.data(), bytes.size());
  if (wrote != static_cast<ssize_t>(bytes.size())) {
    const int error = wrote < 0 ? errno : ENOSPC;
    // Not half a record: the next one would be read wrong.
    static_cast<void>(::ftruncate(outputs_fd_, static_cast<off_t>(outputs_bytes_)));
    return fail_errno(error, "write " + path);
  }
  outputs_bytes_ += bytes.size();
  return {};
}

}  // namespace muster::node
