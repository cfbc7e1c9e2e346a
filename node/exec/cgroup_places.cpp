#include "node/exec/cgroup_places.hpp"

#include <algorithm>
#include <vector>

namespace muster::node {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(at + 1);
  }
}

// mountinfo writes blanks in paths as \040.
std::string unescape(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      int value = 0;
      for (std::size_t k = 1; k <= 3; ++k) {
        value = value * 8 + (text[i + k] - '0');
      }
      out += static_cast<char>(value);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

// The group `path` of the hierarchy, seen at `mount`, which shows the hierarchy from `root` down.
std::string directory_of(const std::string& mount, const std::string& root, std::string path) {
  if (root != "/") {
    if (path == root || path.starts_with(root + "/")) {
      path.erase(0, root.size());
    } else {
      path.clear();  // not visible here
    }
  }
  if (path.starts_with("/..") || path == "/") {
    path.clear();
  }
  return mount + path;
}

}  // namespace

CgroupPlaces parse_cgroup_places(std::string_view mountinfo, std::string_view self_cgroup) {
  struct Mount {
    std::string root;
    std::string point;
    std::string type;
    std::vector<std::string> options;
  };
  std::vector<Mount> mounts;
  for (const std::string& line : split(mountinfo, '\n')) {
    // id parent major:minor root point options [optional...] - type source super_options
    const std::vector<std::string> words = split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 10 || words.end() - dash < 4) {
      continue;
    }
    mounts.push_back({unescape(words[3]), unescape(words[4]), dash[1], split(dash[3], ',')});
  }
  CgroupPlaces places;
  for (const std::string& line : split(self_cgroup, '\n')) {
    // hierarchy:controllers:path
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) {
      continue;
    }
    const std::string path = line.substr(second + 1);
    const std::vector<std::string> controllers = split(line.substr(first + 1, second - first - 1), ',');
    for (const std::string& controller : controllers) {
      for (const Mount& mount : mounts) {
        if (controller.empty() && mount.type == "cgroup2") {
          places.v2 = CgroupPlace{mount.point, directory_of(mount.point, mount.root, path)};
          break;
        }
        if (!controller.empty() && mount.type == "cgroup" &&
            std::find(mount.options.begin(), mount.options.end(), controller) != mount.options.end()) {
          places.v1[controller] = CgroupPlace{mount.point, directory_of(mount.point, mount.root, path)};
          break;
        }
      }
    }
  }
  return places;
}

}  // namespace muster::node
