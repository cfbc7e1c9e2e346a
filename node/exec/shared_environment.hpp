// SharedEnvironment: what the environments of a job's tasks have in common: the submitter's, some kilobytes that are sent to
// the launcher once and never copied for a task. Immutable; pure.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace muster::node {

class SharedEnvironment {
 public:
  // One entry per name, in the order of their first; later ones win. What is no "NAME=value" is left out.
  explicit SharedEnvironment(const std::vector<std::string>& lines);
  SharedEnvironment(const SharedEnvironment&) = delete;
  SharedEnvironment& operator=(const SharedEnvironment&) = delete;

  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }
  [[nodiscard]] std::optional<std::size_t> place_of(std::string_view name) const;

 private:
  std::vector<std::string> lines_;
  std::unordered_map<std::string_view, std::size_t> places_;  // views into lines_
};

using SharedEnvironmentPtr = std::shared_ptr<const SharedEnvironment>;

// The name of "NAME=value"; empty when `line` is none or holds a zero byte.
[[nodiscard]] std::string_view name_of_variable(std::string_view line);

// The environment of one process as execve() takes it: the shared one, then the task's lines, then the rank's, then
// `marker`; later ones win. Keeps alive what it points to. Pure.
class ProcessEnvironment {
 public:
  ProcessEnvironment() = default;
  ProcessEnvironment(SharedEnvironmentPtr shared, const std::vector<std::string>& task,
                     const std::vector<std::string>& rank, std::string marker);
  ProcessEnvironment(ProcessEnvironment&&) = default;
  ProcessEnvironment& operator=(ProcessEnvironment&&) = default;

  // Ends with a null pointer.
  [[nodiscard]] char* const* pointers() const { return pointers_.data(); }
  [[nodiscard]] std::vector<std::string_view> lines() const;
  // PATH, or the system's default.
  [[nodiscard]] std::string search_path() const;

 private:
  SharedEnvironmentPtr shared_;
  std::vector<std::string> own_;
  std::vector<char*> pointers_{nullptr};
};

}  // namespace muster::node
