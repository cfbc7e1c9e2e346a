#include "node/exec/shared_environment.hpp"

#include <utility>

namespace muster::node {
namespace {
constexpr const char* kDefaultPath = "/usr/local/bin:/usr/bin:/bin";
}

std::string_view name_of_variable(std::string_view line) {
  const std::size_t equals = line.find('=');
  return equals == std::string_view::npos || line.find('\0') != std::string_view::npos ? std::string_view()
                                                                                       : line.substr(0, equals);
}

SharedEnvironment::SharedEnvironment(const std::vector<std::string>& lines) {
  lines_.reserve(lines.size());  // views into short strings must not move
  for (const std::string& line : lines) {
    const std::string_view name = name_of_variable(line);
    if (name.empty()) {
      continue;
    }
    if (const auto known = places_.find(name); known != places_.end()) {
      const std::size_t place = known->second;
      places_.erase(known);  // its key is about to change
      lines_[place] = line;
      places_.emplace(name_of_variable(lines_[place]), place);
    } else {
      lines_.push_back(line);
      places_.emplace(name_of_variable(lines_.back()), lines_.size() - 1);
    }
  }
}

std::optional<std::size_t> SharedEnvironment::place_of(std::string_view name) const {
  const auto found = places_.find(name);
  return found == places_.end() ? std::nullopt : std::optional(found->second);
}

ProcessEnvironment::ProcessEnvironment(SharedEnvironmentPtr shared, const std::vector<std::string>& task,
                                       const std::vector<std::string>& rank, std::string marker)
    : shared_(std::move(shared)) {
  const std::size_t shared_count = shared_ == nullptr ? 0 : shared_->lines().size();
  own_.reserve(task.size() + rank.size() + 1);  // pointers to short strings must not move
  pointers_.clear();
  pointers_.reserve(shared_count + own_.capacity() + 1);
  for (std::size_t i = 0; i < shared_count; ++i) {
    pointers_.push_back(const_cast<char*>(shared_->lines()[i].c_str()));
  }
  std::vector<std::pair<std::string_view, std::size_t>> added;  // names that the shared one lacks, and their places
  added.reserve(own_.capacity());
  auto add = [&](std::string line) {
    if (name_of_variable(line).empty()) {
      return;
    }
    own_.push_back(std::move(line));
    const std::string_view name = name_of_variable(own_.back());
    if (shared_ != nullptr) {
      if (const auto place = shared_->place_of(name)) {
        pointers_[*place] = own_.back().data();
        return;
      }
    }
    for (const auto& [known, place] : added) {
      if (known == name) {
        pointers_[place] = own_.back().data();
        return;
      }
    }
    added.emplace_back(name, pointers_.size());
    pointers_.push_back(own_.back().data());
  };
  for (const std::string& line : task) {
    add(line);
  }
  for (const std::string& line : rank) {
    add(line);
  }
  add(std::move(marker));
  pointers_.push_back(nullptr);
}

std::vector<std::string_view> ProcessEnvironment::lines() const {
  return {pointers_.begin(), pointers_.end() - 1};
}

std::string ProcessEnvironment::search_path() const {
  for (const std::string_view line : lines()) {
    if (line.starts_with("PATH=")) {
      return std::string(line.substr(5));
    }
  }
  return kDefaultPath;
}

}  // namespace muster::node
