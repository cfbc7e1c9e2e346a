// Duties: composes gateways and the core onto threads.
//
//   shared     one thread does everything; it sleeps in one poll. Default on small machines
//   dedicated  the core and each gateway have threads of their own, and rings between them
//
// All is started and stopped by one thread, the owner.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "master/core/master_core.hpp"
#include "master/gateway/core_duty.hpp"
#include "master/gateway/gateway.hpp"
#include "master/view/view_desk.hpp"
#include "wire/ring/duty.hpp"

namespace muster::master {

enum class Threads : std::uint8_t { shared, dedicated };

struct DutiesOptions {
  Threads threads = Threads::shared;
  GatewayOptions gateway{};
  std::uint32_t spins_max = 0;  // dedicated only
};

class Duties {
 public:
  // Binds all endpoints. In dedicated mode each tcp endpoint has a gateway of its own.
  [[nodiscard]] static Result<std::unique_ptr<Duties>> open(Context& context, std::span<const Endpoint> endpoints,
                                                            const DutiesOptions& options);
  ~Duties();

  // Serves until one of `stop_fds` is readable; returns its place. Call once.
  [[nodiscard]] Result<std::size_t> run(MasterCore& core, std::span<const int> stop_fds);

  // As bound.
  [[nodiscard]] const std::vector<Endpoint>& endpoints() const { return endpoints_; }
  // For readers of any thread, while this lives.
  [[nodiscard]] ViewDesk& desk() { return *desk_; }
  [[nodiscard]] const std::vector<std::unique_ptr<Gateway>>& gateways() const { return gateways_; }

 private:
  Duties() = default;
  Result<std::size_t> run_shared(CoreDuty& core, std::span<const int> stop_fds);
  Result<std::size_t> run_dedicated(CoreDuty& core, std::span<const int> stop_fds);
  [[nodiscard]] std::vector<Gateway*> gateway_pointers() const;

  DutiesOptions options_;
  std::vector<std::unique_ptr<Parker>> parkers_;  // the core's first, then the gateways'
  std::vector<std::unique_ptr<Gateway>> gateways_;
  std::vector<Endpoint> endpoints_;
  std::unique_ptr<ViewDesk> desk_;
};

}  // namespace muster::master
