#include "sched/cli/topology_picture.hpp"

#include <algorithm>
#include <vector>

#include "sched/cli/svg.hpp"

namespace muster::cli {
namespace {

using Group = std::vector<Pu>;

// Neighbours with the same group number, in order.
std::vector<Group> groups_of(const Group& pus, std::uint32_t Pu::*number) {
  std::vector<Group> groups;
  for (const Pu& pu : pus) {
    if (groups.empty() || groups.back().back().*number != pu.*number) {
      groups.emplace_back();
    }
    groups.back().push_back(pu);
  }
  return groups;
}

std::string core_text(const Group& core) {
  std::string text;
  for (const Pu& pu : core) {
    text += (text.empty() ? "[" : " ") + std::to_string(pu.os_index);
  }
  return text + "]";
}

// Sizes of the picture, in its units.
constexpr double kCpu = 34;       // a hardware thread
constexpr double kGap = 8;
constexpr double kLabel = 20;     // a box's head
constexpr std::size_t kCoresPerRow = 8;

struct Size {
  double width{};
  double height{};
};

Size size_of_core(const Group& core) { return {kCpu * static_cast<double>(core.size()), kCpu}; }

Size size_of_cores(const std::vector<Group>& cores) {
  Size size;
  for (std::size_t row = 0; row < cores.size(); row += kCoresPerRow) {
    double width = kGap;
    for (std::size_t i = row; i < std::min(row + kCoresPerRow, cores.size()); ++i) {
      width += size_of_core(cores[i]).width + kGap;
    }
    size.width = std::max(size.width, width);
    size.height += kCpu + kGap;
  }
  return {std::max(size.width, 90.0), size.height + kLabel + kGap / 2};
}

constexpr std::uint32_t Pu::*kLevels[] = {&Pu::package, &Pu::numa, &Pu::l3};
constexpr const char* kNames[] = {"package ", "NUMA node ", "L3 "};
constexpr const char* kFills[] = {"#eef2f7", "#dde7f0", "#c9d9e8"};

// Boxes of a level stand side by side; packages below each other.
Size size_of(const Group& group, std::size_t level) {
  if (level == 3) {
    return size_of_cores(groups_of(group, &Pu::core));
  }
  Size size{kGap, 0};
  for (const Group& inner : groups_of(group, kLevels[level])) {
    const Size one = size_of(inner, level + 1);
    size.width += one.width + kGap;
    size.height = std::max(size.height, one.height);
  }
  return {size.width, size.height + kLabel + kGap};
}

void draw_cores(SvgWriter& svg, const Group& group, double x, double y) {
  const std::vector<Group> cores = groups_of(group, &Pu::core);
  for (std::size_t row = 0; row < cores.size(); row += kCoresPerRow) {
    double at = x + kGap;
    for (std::size_t i = row; i < std::min(row + kCoresPerRow, cores.size()); ++i) {
      const Size size = size_of_core(cores[i]);
      svg.rectangle(at, y, size.width, size.height, {{"fill", "#ffffff"}, {"stroke", "#2b2f36"}});
      for (std::size_t k = 0; k < cores[i].size(); ++k) {
        svg.text(at + kCpu * (static_cast<double>(k) + 0.5), y + kCpu / 2 + 5, std::to_string(cores[i][k].os_index), "middle");
      }
      at += size.width + kGap;
    }
    y += kCpu + kGap;
  }
}

// Draws one group of `level` with its frame.
void draw_group(SvgWriter& svg, const Group& group, std::size_t level, double x, double y) {
  const Size size = size_of(group, level + 1);
  svg.rectangle(x, y, size.width, size.height, {{"fill", kFills[level]}, {"stroke", "#6b7280"}, {"rx", "4"}});
  svg.text(x + kGap, y + kLabel - 5, kNames[level] + std::to_string(group.front().*kLevels[level]), "start");
  if (level == 2) {
    draw_cores(svg, group, x, y + kLabel);
    return;
  }
  double at = x + kGap;
  for (const Group& inner : groups_of(group, kLevels[level + 1])) {
    draw_group(svg, inner, level + 1, at, y + kLabel);
    at += size_of(inner, level + 2).width + kGap;
  }
}

}  // namespace

std::string draw_topology(const Topology& topology, std::size_t width) {
  std::string text;
  for (const Group& package : groups_of(topology.pus, &Pu::package)) {
    text += "package " + std::to_string(package.front().package) + "\n";
    for (const Group& l3 : groups_of(package, &Pu::l3)) {
      std::string line = "  NUMA " + std::to_string(l3.front().numa) + ", L3 " + std::to_string(l3.front().l3) + ":";
      const std::string indent(line.size(), ' ');
      for (const Group& core : groups_of(l3, &Pu::core)) {
        const std::string cpus = core_text(core);
        if (line.size() + 1 + cpus.size() > width && line != indent) {
          text += line + "\n";
          line = indent;
        }
        line += " " + cpus;
      }
      text += line + "\n";
    }
  }
  return text;
}

std::string topology_svg(const Topology& topology, const std::string& title) {
  const std::vector<Group> packages = groups_of(topology.pus, &Pu::package);
  Size page{0, 3 * kLabel};
  for (const Group& package : packages) {
    const Size size = size_of(package, 1);
    page.width = std::max(page.width, size.width);
    page.height += size.height + kGap;
  }
  page.width = std::max(page.width, 8.0 * static_cast<double>(title.size()));
  SvgWriter svg(page.width + 2 * kGap, page.height, title);
  svg.rectangle(0, 0, page.width + 2 * kGap, page.height, {{"fill", "#ffffff"}});
  svg.begin_group({{"font-family", "sans-serif"}, {"font-size", "13"}, {"fill", "#2b2f36"}});
  svg.text(kGap, kLabel + 4, title, "start", {{"font-weight", "600"}});
  svg.text(kGap, 2 * kLabel + 4, topology.to_string(), "start");
  double y = 2.6 * kLabel;
  for (const Group& package : packages) {
    draw_group(svg, package, 0, kGap, y);
    y += size_of(package, 1).height + kGap;
  }
  svg.end_group();
  return svg.finish();
}

}  // namespace muster::cli
