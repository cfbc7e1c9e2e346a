#include "node/exec/command_places.hpp"

#include <algorithm>

namespace muster::node {

std::vector<std::string> command_places(const std::string& command, const std::string& path) {
  if (command.find('/') != std::string::npos) {
    return {command};
  }
  std::vector<std::string> places;
  for (std::size_t at = 0; !command.empty() && at <= path.size();) {
    const std::size_t end = std::min(path.find(':', at), path.size());
    const std::string directory = path.substr(at, end - at);
    places.push_back((directory.empty() ? "." : directory) + "/" + command);
    at = end + 1;
  }
  return places;
}

}  // namespace muster::node
