#include "master/web/announcement.hpp"

#include <nlohmann/json.hpp>

namespace muster::master {

std::string to_json(const Announcement& a) {
  using Json = nlohmann::ordered_json;
  Json out{{"pid", a.pid}, {"start_ticks", a.start_ticks}, {"epoch", a.epoch.value()}, {"endpoints", a.endpoints}};
  out["http"] = a.http_port == 0 ? Json(nullptr) : Json("http://127.0.0.1:" + std::to_string(a.http_port));
  out["http_port"] = a.http_port;
  out["version"] = a.version;
  out["started_ns"] = a.started.ns();
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace muster::master
