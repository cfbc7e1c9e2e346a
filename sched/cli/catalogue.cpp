#include "sched/cli/catalogue.hpp"

#include <algorithm>

namespace muster::cli {

Catalogue::Catalogue() = default;

Subcommand& Catalogue::add(const Words& words, bool json) {
  auto sub = std::make_unique<Subcommand>();
  sub->name = words.name;
  sub->group = words.group;
  sub->summary = words.summary;
  sub->app = std::make_unique<CLI::App>("muster " + words.name + ": " + words.summary, "muster " + words.name);
  CLI::App& app = *sub->app;
  app.footer(words.more);
  app.get_formatter()->column_width(32);
  app.set_help_flag("-h,--help", "print this and leave")->group("Common");
  add_text(app, "--dir", draft_.dir, "DIR", "the cluster's folder; default $MUSTER_DIR, else ~/.muster")->group("Common");
  add_text(app, "--timeout", draft_.timeout, "TIME", "the latest answer: 10, 0.5, 500ms or 2m; default 10 seconds")
      ->group("Common");
  if (json) {
    app.add_flag("--json", draft_.json, "print JSON; its fields are in docs/cli.md")->group("Common");
  }
  all_.push_back(std::move(sub));
  return *all_.back();
}

Subcommand* Catalogue::find(const std::string& name) {
  const auto found = std::find_if(all_.begin(), all_.end(), [&](const auto& sub) { return sub->name == name; });
  return found == all_.end() ? nullptr : found->get();
}

Result<CommonOptions> Catalogue::common() const {
  CommonOptions common;
  common.dir = draft_.dir;
  common.json = draft_.json;
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
