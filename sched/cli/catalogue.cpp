#include "sched/cli/catalogue.hpp"

#include <algorithm>

namespace muster::cli {
namespace {

constexpr std::size_t kColumn = 32;      // of descriptions
constexpr std::size_t kLineWidth = 100;

}  // namespace

Catalogue::Catalogue() = default;

Subcommand& Catalogue::add(const Words& words, bool json) {
  auto sub = std::make_unique<Subcommand>();
  sub->name = words.name;
  sub->group = words.group;
  sub->summary = words.summary;
  sub->app = std::make_unique<CLI::App>("muster " + words.name + ": " + words.summary, "muster " + words.name);
  sub->json = json;
  sub->app->footer(words.more);
  sub->app->get_formatter()->column_width(kColumn);
  all_.push_back(std::move(sub));
  return *all_.back();
}

void Catalogue::add_common_options() {
  for (const auto& sub : all_) {
    CLI::App& app = *sub->app;
    add_text(app, "--dir", draft_.dir, "DIR", "the cluster's folder; default: see `muster help`")->group("Common");
    add_text(app, "--cluster", draft_.cluster, "FILE", "instead: its cluster.toml, or the folder that this is in")->group("Common");
    add_text(app, "--timeout", draft_.timeout, "TIME", "the latest answer: 10, 0.5, 500ms or 2m; default 10 seconds")
        ->group("Common");
    if (sub->json) {
      app.add_flag("--json", draft_.json, "print JSON; its fields are in docs/cli.md")->group("Common");
    }
    app.set_help_flag("-h,--help", "print this and leave")->group("Common");
  }
}

std::string tidy_help(const std::string& help) {
  std::string out;
  bool blank = false;
  for (const std::string& line : split(help, '\n')) {
    if (line.empty()) {
      blank = !out.empty();
      continue;
    }
    if (blank) {
      out += '\n';
      blank = false;
    }
    std::string rest = line;
    const bool described = line.starts_with("  ") && line.size() > kColumn && line[2] != ' ';
    while (described && rest.size() > kLineWidth) {
      const auto at = rest.rfind(' ', kLineWidth);
      if (at == std::string::npos || at <= kColumn) {
        break;
      }
      out += rest.substr(0, at) + '\n';
      rest = std::string(kColumn, ' ') + rest.substr(at + 1);
    }
    out += rest + '\n';
  }
  return out;
}

Subcommand* Catalogue::find(const std::string& name) {
  const auto found = std::find_if(all_.begin(), all_.end(), [&](const auto& sub) { return sub->name == name; });
  return found == all_.end() ? nullptr : found->get();
}

Result<CommonOptions> Catalogue::common() const {
  CommonOptions common;
  common.dir = draft_.dir;
  common.cluster = draft_.cluster;
  common.json = draft_.json;
  if (draft_.dir && draft_.cluster) {
    return fail(Errc::invalid_argument, "--dir and --cluster: both name a cluster; give one of them");
  }
  if (draft_.cluster && draft_.cluster->empty()) {
    return fail(Errc::invalid_argument, "--cluster: is empty; name a cluster.toml, or its folder");
  }
  if (draft_.dir && draft_.dir->empty()) {
    return fail(Errc::invalid_argument, "--dir: is empty; name a folder");
  }
  if (draft_.timeout) {
    auto timeout = parse_timeout(*draft_.timeout);
    if (!timeout) {
      return fail(timeout.error().code, "--timeout: " + timeout.error().text);
    }
    common.timeout = *timeout;
  }
  return common;
}

}  // namespace muster::cli
