// bench offers: a framework of its own through the SDK; how long the master takes to offer, to accept and to launch.
#include <unistd.h>

#include <algorithm>
#include <map>

#include "sched/cli/bench_run.hpp"
#include "sched/cli/table.hpp"
#include "sched/client/driver.hpp"
#include "wire/socket/raw_zmq.hpp"

namespace muster::cli {
namespace {

using namespace client;

constexpr std::uint64_t kCount = 200;
constexpr std::uint64_t kWarmUp = 20;
constexpr double kBareSeconds = 0.5;
constexpr Duration kRateTime = Duration::from_seconds(1);
constexpr Duration kEndPatience = Duration::from_seconds(5);  // for tasks that are being ended
constexpr Duration kQuiet = Duration::from_ms(50);
constexpr std::size_t kShapes = 64;                           // of one request, the protocol's most

// One user's benchmark is one framework for ever: runs leave one row in the master, not one each.
FrameworkId bench_framework() { return FrameworkId(mix64(0x6d757374'65722062ULL + getuid()) | 1U); }

// Goes through the kinds of cycle one after the other. Owned by the thread of client::run().
class OfferBench : public Framework {
 public:
  OfferBench(BenchRun& run, std::uint64_t count, Instant begun) : run_(run), count_(count), asked_(begun) {}

  enum class Step : std::uint8_t { request, decline, launch, rate, ending };

  void on_registered(Epoch, Now) override {
    if (registered_) {
      give_up("the master was restarted, or lost, while it was measured; run it again");
      return;
    }
    registered_ = true;
    ask();
  }

  void on_offers(std::span<const Offer> offers, Now) override {
    const Instant now = mono_now();
    offers_ += step_ == Step::rate ? offers.size() : 0;
    rounds_ += step_ == Step::rate ? 1U : 0U;
    for (const Offer& offer : offers) {
      open_.push_back(offer);
    }
    switch (step_) {
      case Step::request:
        take(request_ms_, now);
        if (++cycle_ < count_ + kWarmUp) {
          link().request({});
          give_back();
          ask_at_ = now + Duration::from_us(2'000 + static_cast<std::int64_t>(cycle_ * 7919U % 6'000));  // in nobody's step
        } else {
          begin(Step::decline);
          give_back();  // the request stands: it is offered again
        }
        break;
      case Step::decline:
        take(decline_ms_, now);
        if (++cycle_ < count_ + kWarmUp) {
          give_back();  // the request stands: it is offered again
        } else {
          begin(Step::launch);
          launch();
        }
        break;
      case Step::launch:
        live_.empty() ? launch() : give_back();
        break;
      case Step::rate:
        if (now - rate_begun_ >= kRateTime) {
          rate_seconds_ = static_cast<double>((now - rate_begun_).ns()) * 1e-9;
          finish();
        } else {
          give_back();
        }
        break;
      case Step::ending:
        quiet_since_ = now;
        give_back();
        break;
    }
  }

  void on_rescinded(std::span<const OfferId> gone, fb::RescindReason, Now) override {
    for (const OfferId& id : gone) {
      std::erase_if(open_, [&](const Offer& offer) { return offer.id == id; });
    }
    if (step_ != Step::ending && open_.empty() && live_.empty()) {
      ask();  // a node was drained or lost: another will do
    }
  }

  void on_accepted(const AcceptAnswer& answer, Now) override {
    const Instant now = mono_now();
    if (answer.code != fb::RefusedCode::None) {
      live_.clear();
      give_up("the master refused a launch: " + answer.text);
      return;
    }
    take(accepted_ms_, now);
  }

  void on_update(std::span<const TaskUpdate> updates, Now) override {
    const Instant now = mono_now();
    for (const TaskUpdate& update : updates) {
      const auto found = live_.find(update.attempt);
      if (found == live_.end()) {
        if (!is_terminal(update.state)) {
          link().kill(update.attempt, update.node, {});  // of a run that was killed
        }
        continue;
      }
      if (!found->second.heard) {
        found->second.heard = true;
        take(first_update_ms_, now);
      }
      if (is_terminal(update.state)) {
        take(ended_ms_, now);
        live_.erase(found);
        if (step_ == Step::ending) {
          continue;
        }
        if (update.state != TaskState::finished || update.exit_code != 0) {
          give_up("a no-op task on node " + update.node_name + " ended as " + std::string(to_string(update.state)) +
                  (update.text.empty() ? "" : ": " + update.text));
        } else if (++cycle_ < count_ + kWarmUp) {
          ask();
        } else {
          begin(Step::rate);
          rate_begun_ = mono_now();
          ask_for_all();
        }
      }
    }
  }

  void on_refused(const fb::Refused& refused, Now) override {
    give_up("the master refused: " + std::string(text_of(refused.text())));
  }

  // Before every wait of the driver: what is over, what takes too long, and Ctrl-C.
  Instant on_turn(Now now) {
    if (step_ != Step::ending && run_.interrupted()) {
      give_up("interrupted");
    }
    const Duration timeout = run_.session().common().timeout;
    if (step_ != Step::ending && now.mono - asked_ >= timeout) {
      give_up((live_.empty() ? std::string("no offer came") : std::string("a no-op task did not end")) + " within " +
              span_text(timeout) + "; look: muster status" + run_.session().place().hint() + " and muster offers" +
              run_.session().place().hint() + ", or give it longer: --timeout 60",
              Errc::timed_out);
    }
    if (step_ == Step::ending) {
      give_back();
      // What was offered before the master heard that nothing more is wanted comes a little later.
      const Instant quiet = quiet_since_ + kQuiet;
      if ((live_.empty() && now.mono >= quiet) || now.mono >= end_by_) {
        stop();
      }
      return live_.empty() ? quiet : end_by_;
    }
    if (now.mono >= ask_at_) {
      ask_at_ = Instant::never();
      ask();
    }
    const std::string steps[] = {"requests", "declines", "launches", "offers per second"};
    run_.show(steps[static_cast<std::size_t>(step_)] + ": " + std::to_string(cycle_) + " of " + std::to_string(count_));
    return std::min(ask_at_, asked_ + timeout);
  }

  std::vector<LiveAttempt> live_attempts() override {
    std::vector<LiveAttempt> all;
    for (const auto& [attempt, task] : live_) {
      all.push_back({attempt, task.node, task.boot});
    }
    return all;
  }

  // Without a text: none.
  [[nodiscard]] const Error& problem() const { return problem_; }
  void fill(BenchReport& report) {
    const auto add = [&](const char* key, const char* label, std::vector<double>& samples) {
      report.measures.push_back({key, {label, Distribution(std::move(samples))}});
    };
    add("request_to_offer", "request → offer", request_ms_);
    add("decline_to_offer", "decline → offered again", decline_ms_);
    add("accept_to_accepted", "accept → accepted", accepted_ms_);
    add("accept_to_first_update", "accept → first update", first_update_ms_);
    add("accept_to_ended", "accept → end of the task", ended_ms_);
    report.figures.push_back({"offers_per_second", "offers per second, all declined at once",
                              static_cast<double>(offers_) / rate_seconds_});
    report.figures.push_back({"offers_per_round", "offers in one answer, the mean",
                              static_cast<double>(offers_) / static_cast<double>(std::max<std::uint64_t>(1, rounds_))});
  }

 private:
  struct Task {
    std::string node;
    std::uint32_t boot{};
    bool heard{};
  };

  static Resources piece() {
    Resources one;
    one.cpus_milli = 1000;
    one.memory_bytes = 1U << 20U;
    return one;
  }
  void ask() {
    asked_ = mono_now();
    link().request({{.shape = piece(), .count = 1, .whole_rest = false, .nodes = {}}});
  }
  // As many different shapes as a request may have, so that many offers come at once.
  void ask_for_all() {
    asked_ = mono_now();
    const auto shapes = std::min<std::uint64_t>(kShapes, std::max<std::uint64_t>(1, run_.slots()));
    std::vector<Want> wants;
    for (std::uint64_t i = 0; i < shapes; ++i) {
      Resources shape = piece();
      shape.memory_bytes += i << 12U;
      wants.push_back({.shape = shape, .count = static_cast<std::uint32_t>(run_.slots() / shapes), .whole_rest = false, .nodes = {}});
    }
    link().request(std::move(wants));
  }
  void give_back() {
    if (open_.empty()) {
      return;
    }
    std::vector<OfferId> ids;
    for (const Offer& offer : open_) {
      ids.push_back(offer.id);
    }
    open_.clear();
    link().decline(ids, Duration{});
    asked_ = mono_now();
  }
  void launch() {
    const Offer offer = open_.front();
    open_.erase(open_.begin());
    give_back();
    const NodeInfo* node = link().node(offer.node);
    const AttemptId attempt{.hi = attempts_hi_, .lo = ++attempts_lo_};
    live_[attempt] = {node == nullptr ? "" : node->name, node == nullptr ? 0 : node->boot, false};
    AcceptRequest accept{.offers = {offer.id}, .launches = {}, .specs = {}};
    accept.launches.push_back({.attempt = attempt, .node = offer.node, .resources = piece()});
    accept.specs.push_back(command_spec({"/bin/true"}, {.name = kBenchName, .working_directory = "/"}));
    asked_ = mono_now();
    link().accept(accept);
  }
  // A sample from asked_ on, unless it is of the warm-up.
  void take(std::vector<double>& samples, Instant now) {
    if (cycle_ >= kWarmUp && step_ != Step::ending) {
      samples.push_back(static_cast<double>((now - asked_).ns()) * 1e-6);
    }
  }
  void begin(Step step) {
    step_ = step;
    cycle_ = 0;
  }
  void finish() {
    if (step_ == Step::ending) {
      return;
    }
    step_ = Step::ending;
    quiet_since_ = mono_now();
    end_by_ = quiet_since_ + kEndPatience;
    link().request({});  // before the declines: what they free is not for us
    give_back();
    for (const auto& [attempt, task] : live_) {
      const NodeInfo* node = link().node(task.node);
      if (node != nullptr) {
        link().kill(attempt, node->index, {});
      }
    }
  }
  void give_up(const std::string& why, Errc code = Errc::refused) {
    if (problem_.text.empty()) {
      problem_ = {code, why};
    }
    finish();
  }

  BenchRun& run_;
  std::uint64_t count_;
  Step step_{Step::request};
  std::uint64_t cycle_{};
  bool registered_{};
  Error problem_;
  Instant asked_;               // what is measured began; also what takes too long
  Instant ask_at_ = Instant::never();  // the next request, after a pause in which nothing is wanted
  Instant end_by_;
  Instant quiet_since_;
  std::vector<Offer> open_;
  std::map<AttemptId, Task> live_;
  std::uint64_t attempts_hi_ = static_cast<std::uint64_t>(SystemClock{}.now().wall.ns());
  std::uint64_t attempts_lo_{};
  Instant rate_begun_;
  double rate_seconds_{1};
  std::uint64_t offers_{};
  std::uint64_t rounds_{};
  std::vector<double> request_ms_;
  std::vector<double> decline_ms_;
  std::vector<double> accepted_ms_;
  std::vector<double> first_update_ms_;
  std::vector<double> ended_ms_;
};

}  // namespace

Result<BenchReport> bench_offers(BenchRun& run, const BenchCommand& command) {
  const std::uint64_t count = command.count.value_or(kCount);
  BenchReport report = run.report("offers", "ms");
  run.show("measuring the machine");
  auto trip = measure_round_trip("ipc", kBareSeconds);
  if (!trip) {
    return tl::unexpected(trip.error());
  }
  const Now begun = SystemClock{}.now();
  OfferBench bench(run, count, begun.mono);
  const auto done = client::run(bench, {.name = kBenchName,
                                        .dir = run.session().place().dir,
                                        .framework = bench_framework(),
                                        .incarnation = Incarnation(static_cast<std::uint64_t>(begun.wall.ns())),
                                        .failover_timeout = Duration::from_seconds(1),
                                        .connect_timeout = run.session().common().timeout,
                                        .on_turn = [&](Now now) { return bench.on_turn(now); },
                                        .wake_fd = run.signals().fd()});
  if (!done) {
    return tl::unexpected(done.error());
  }
  if (!bench.problem().text.empty()) {
    return tl::unexpected(bench.problem());
  }
  bench.fill(report);
  report.title = counted(count, "cycle") + " of each kind by a framework of its own, one at a time";
  report.main = "accept_to_first_update";
  report.measures.push_back({"bare_round_trip", {"bare ZeroMQ round trip", Distribution(std::move(trip->samples_ms))}, true});
  const double trip_ms = report.measures.back().samples.values.quantile(0.5);
  for (const auto& [key, label] : {std::pair{"request_to_offer", "request → offer"}, {"accept_to_accepted", "accept → accepted"}}) {
    const auto found = std::find_if(report.measures.begin(), report.measures.end(), [&](const Measure& m) { return m.key == key; });
    report.figures.push_back({std::string(key) + "_in_round_trips", std::string(label) + " in bare round trips (p50)",
                              found->samples.values.quantile(0.5) / trip_ms});
  }
  return report;
}

}  // namespace muster::cli
