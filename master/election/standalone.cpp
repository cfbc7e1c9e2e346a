#include "master/election/standalone.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "wire/daemon/durable_file.hpp"

namespace muster::master {
namespace {

// The file: "muster epoch 7 ~7\n", the number twice (the second time with all bits turned), so that a damaged one shows.
constexpr std::string_view kBefore = "muster epoch ";
// Exists from the first term on: tells a lost epoch file from a first start.
constexpr const char* kMarker = "/epoch.used";

constexpr std::uint64_t kEpochMax = std::uint64_t{1} << 62U;

std::string text_of(Epoch epoch) {
  return std::string(kBefore) + std::to_string(epoch.value()) + " ~" + std::to_string(~epoch.value()) + "\n";
}

bool read_number(std::string_view& text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) {
    return false;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

Result<Epoch> parse(std::string_view text) {
  std::uint64_t epoch = 0;
  std::uint64_t turned = 0;
  if (text.substr(0, kBefore.size()) == kBefore) {
    text.remove_prefix(kBefore.size());
    if (read_number(text, epoch) && text.substr(0, 2) == " ~") {
      text.remove_prefix(2);
      if (read_number(text, turned) && text == "\n" && turned == ~epoch && epoch > 0 && epoch < kEpochMax) {
        return Epoch(epoch);
      }
    }
  }
  return fail(Errc::malformed, "");
}

const char* const kWayOut =
    "; nodes refuse epochs below the highest they have seen, so start once with --epoch-min N, N above every earlier "
    "epoch (they are in this master's log)";

}  // namespace

Result<std::unique_ptr<StandaloneElection>> StandaloneElection::open(const std::string& folder, Epoch epoch_min) {
  auto lock = LockFile::acquire(folder + "/lock", "a master of this cluster");
  if (!lock) {
    return tl::unexpected(lock.error());
  }
  return std::unique_ptr<StandaloneElection>(new StandaloneElection(folder, epoch_min, *std::move(lock)));
}

Result<Epoch> StandaloneElection::last_epoch() const {
  const std::string path = folder_ + "/epoch";
  const auto text = read_file(path, 4096);
  if (!text) {
    if (text.error().code != Errc::not_found) {
      return tl::unexpected(text.error());
    }
    if (::access((folder_ + kMarker).c_str(), F_OK) == 0 && epoch_min_ == Epoch{}) {
      return fail(Errc::not_found, "epoch file " + path + " is gone, though a master has led here before" + kWayOut);
    }
    return Epoch{};
  }
  const auto epoch = parse(*text);
  if (!epoch && epoch_min_ == Epoch{}) {
    return fail(Errc::malformed, "epoch file " + path + " is damaged (it holds '" + text->substr(0, 40) + "')" + kWayOut);
  }
  return epoch ? *epoch : Epoch{};
}

Result<Epoch> StandaloneElection::lead() {
  const auto last = last_epoch();
  if (!last) {
    return last;
  }
  const Epoch epoch(std::max(last->value() + 1, epoch_min_.value()));
  if (epoch.value() >= kEpochMax) {
    return fail(Errc::out_of_range, "epoch " + std::to_string(epoch.value()) + " is beyond " + std::to_string(kEpochMax) +
                                        ": choose a smaller --epoch-min");
  }
  if (auto written = write_durably(folder_ + "/epoch", text_of(epoch)); !written) {
    return tl::unexpected(written.error());
  }
  // After the epoch: a crash between the two leaves a folder that starts again by itself.
  if (::access((folder_ + kMarker).c_str(), F_OK) != 0) {
    if (auto marked = write_durably(folder_ + kMarker, "a master has led here\n"); !marked) {
      return tl::unexpected(marked.error());
    }
  }
  return epoch;
}

}  // namespace muster::master
