// CoreDriver: nodes and frameworks that drive a MasterCore directly, without sockets and threads, with frames built
// beforehand, and that time each call by its kind. Pure but for the clock of the stopwatch.
#pragma once

#include <time.h>

#include <array>
#include <cstdint>
#include <deque>
#include <string_view>
#include <vector>

#include "bench/load/frame_template.hpp"
#include "master/core/master_core.hpp"
#include "wire/schema/link_state.hpp"

namespace muster::bench {

// Where the core's time goes: one stopwatch per kind of call.
enum class Step : std::uint8_t { accept, send_launches, update, send_updates, acknowledge, offer };
inline constexpr std::array<std::string_view, 6> kStepNames{"accept",       "send_launches", "update",
                                                            "send_updates", "acknowledge",   "offer"};

class CoreDriver {
 public:
  CoreDriver(std::uint32_t nodes, bool packed, master::ParallelFor parallel_for = {}) : tasks_(packed ? kCpus : 1), seq_(nodes, 0) {
    master::MasterConfig config;
    config.lease = Duration::from_seconds(1'000'000);
    config.settle = Duration{};
    config.parallel_for = std::move(parallel_for);
    core_ = std::make_unique<master::MasterCore>(config, Epoch(1), now_);
    const fb::Amounts task((packed ? 1ULL : kCpus) << 30U, 0, packed ? 1000 : 1000 * kCpus, 0);
    accept_ = accept_template(1, tasks_, task);
    update_ = update_template(tasks_, 1);
    acknowledge_ = acknowledge_template(1);
    links_.resize(kLinks + 1);

    for (std::uint32_t i = 0; i < kLinks; ++i) {
      fb::RegisterT message;
      for (std::uint32_t n = i; n < nodes; n += kLinks) {
        auto node = std::make_unique<fb::NodeRegistrationT>();
        node->name = "load" + std::to_string(n);
        node->capacity = std::make_unique<fb::ShapeT>();
        node->capacity->amounts = std::make_unique<fb::Amounts>(std::uint64_t{kCpus} << 30U, 0, kCpus * 1000, 0);
        message.nodes.push_back(std::move(node));
      }
      if (!message.nodes.empty()) {
        links_[i].open(Incarnation(1));
        give(i, pack_frame<fb::Register>(links_[i].next_head(Epoch{}), message));
      }
    }
    flush();
    fb::SubscribeT subscribe;
    subscribe.framework = 1;
    subscribe.name = "load";
    links_[kLinks].open(Incarnation(1));
    give(kLinks, pack_frame<fb::Subscribe>(links_[kLinks].next_head(Epoch{}), subscribe));
    request();
    flush();
  }

  // Every node of a batch once around: accept → launch → update → acknowledge → offered again.
  void cycle(std::uint32_t batch) {
    now_.mono = now_.mono + Duration::from_us(100);
    if (now_.mono >= core_->next_timer()) {
      core_->on_timer(now_);
    }
    if (asked_ > 1'000'000'000) {
      request();
    }
    frames_.clear();
    for (std::uint32_t i = 0; i < batch && !offers_.empty(); ++i) {
      frames_.emplace_back(kLinks, accept_frame());
    }
    give_all(Step::accept);
    flush(Step::send_launches);
    frames_.swap(answers_);
    give_all(Step::update);
    flush(Step::send_updates);  // and the freed nodes are offered again
    frames_.swap(answers_);
    give_all(Step::acknowledge);
    flush(Step::offer);
  }

  [[nodiscard]] std::uint64_t messages() const { return offers_seen_ + launches_ + updates_; }
  [[nodiscard]] std::uint64_t tasks() const { return updates_; }
  [[nodiscard]] double nanoseconds(Step step) const { return ns_[static_cast<std::size_t>(step)]; }
  [[nodiscard]] double nanoseconds() const {
    double sum = 0;
    for (const double ns : ns_) {
      sum += ns;
    }
    return sum;
  }
  void reset_counts() {
    ns_ = {};
    offers_seen_ = launches_ = updates_ = 0;
  }
  [[nodiscard]] const master::MasterCore& core() const { return *core_; }
  [[nodiscard]] std::shared_ptr<const master::ClusterView> view() { return core_->view(now_); }

 private:
  static constexpr std::uint32_t kLinks = 64;  // of nodes; the framework's follows
  static constexpr std::uint32_t kCpus = 64;
  using Frames = std::vector<std::pair<std::uint32_t, FrameBytes>>;
  struct OpenOffer {
    fb::OfferRef ref{0, 0};
    std::uint32_t node{};
  };

  static double clock_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);  // others may be busy on this machine
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
  }
  void give(std::uint32_t link, const FrameBytes& bytes) {
    core_->on_frame(LinkId(link + 1), {}, *fb::GetFrame(bytes.data()), now_);
  }
  void give_all(Step step) {
    const double begun = clock_ns();
    for (const auto& [link, bytes] : frames_) {
      give(link, bytes);
    }
    ns_[static_cast<std::size_t>(step)] += clock_ns() - begun;
  }
  void flush(Step step) {
    outputs_.frames.clear();
    const double begun = clock_ns();
    core_->flush(now_, outputs_);
    ns_[static_cast<std::size_t>(step)] += clock_ns() - begun;
    answers_.clear();
    for (const auto& out : outputs_.frames) {
      take(static_cast<std::uint32_t>(out.link.value() - 1), *fb::GetFrame(out.bytes.data()));
    }
  }
  void flush() { flush(Step::offer); }

  void request() {
    fb::RequestT message;
    auto want = std::make_unique<fb::WantedShapeT>();
    want->shape = std::make_unique<fb::ShapeT>();
    want->shape->amounts = std::make_unique<fb::Amounts>(std::uint64_t{kCpus} << 30U, 0, kCpus * 1000, 0);
    want->count = 4'000'000'000U;
    message.wants.push_back(std::move(want));
    give(kLinks, pack_frame<fb::Request>(links_[kLinks].next_head(Epoch(1)), message));
    asked_ = 0;
  }

  FrameBytes accept_frame() {
    const OpenOffer offer = offers_.front();
    offers_.pop_front();
    ++accepts_;
    FrameBytes frame = accept_.bytes;
    accept_.head(frame.data(), links_[kLinks].next_head(Epoch(1)));
    put(frame.data() + accept_.number, accepts_);
    put(frame.data() + accept_.offers, offer.ref.slot());
    put(frame.data() + accept_.offers + 4, offer.ref.generation());
    for (std::uint32_t i = 0; i < tasks_; ++i) {
      put(frame.data() + accept_.records + i * kLaunchBytes + 8, accepts_ * kCpus + i);
      put(frame.data() + accept_.records + i * kLaunchBytes + 16, offer.node);
    }
    return frame;
  }

  void take(std::uint32_t link, const fb::Frame& frame) {
    if (links_[link].take(frame) != LinkState::Verdict::deliver) {
      return;
    }
    switch (frame.body_type()) {
      case fb::Body::Offers:
        for (const fb::OfferEntry* offer : *frame.body_as_Offers()->offers()) {
          offers_.push_back({fb::OfferRef(offer->slot(), offer->generation()), offer->node()});
          ++offers_seen_;
          ++asked_;
        }
        return;
      case fb::Body::Launch: {
        const auto& launches = *frame.body_as_Launch()->launches();
        for (std::uint32_t i = 0; i + tasks_ <= launches.size(); i += tasks_) {
          answers_.emplace_back(link, update_frame(link, launches, i));
        }
        launches_ += launches.size();
        return;
      }
      case fb::Body::Update: {
        const auto& entries = *frame.body_as_Update()->entries();
        updates_ += entries.size();
        for (std::uint32_t i = tasks_ - 1; i < entries.size(); i += tasks_) {
          FrameBytes ack = acknowledge_.bytes;
          acknowledge_.head(ack.data(), links_[link].next_head(Epoch(1)));
          put(ack.data() + acknowledge_.records, entries.Get(i)->seq());
          put(ack.data() + acknowledge_.records + 8, entries.Get(i)->node());
          answers_.emplace_back(link, std::move(ack));
        }
        return;
      }
      default:
        return;
    }
  }

  FrameBytes update_frame(std::uint32_t link, const flatbuffers::Vector<const fb::LaunchEntry*>& launches,
                          std::uint32_t first) {
    FrameBytes frame = update_.bytes;
    update_.head(frame.data(), links_[link].next_head(Epoch(1)));
    put(frame.data() + update_.owners, std::uint64_t{1});
    for (std::uint32_t i = 0; i < tasks_; ++i) {
      const fb::LaunchEntry& launch = *launches.Get(first + i);
      std::uint8_t* record = frame.data() + update_.records + i * kUpdateBytes;
      put(record, launch.attempt());
      put(record + 16, ++seq_[launch.node()]);
      put(record + 32, std::int64_t{1});
      put(record + 40, launch.node());
      put(record + 52, std::uint8_t{10});  // TaskState::finished
    }
    return frame;
  }

  std::uint32_t tasks_;
  Now now_{Instant::from_ns(1'000'000'000), WallTime::from_ns(1)};
  std::unique_ptr<master::MasterCore> core_;
  master::MasterOutputs outputs_;
  FrameTemplate accept_, update_, acknowledge_;
  std::vector<LinkState> links_;
  std::vector<std::uint64_t> seq_;  // of updates, by node index
  std::deque<OpenOffer> offers_;
  Frames frames_, answers_;
  std::uint64_t accepts_{}, asked_{};
  std::uint64_t offers_seen_{}, launches_{}, updates_{};
  std::array<double, kStepNames.size()> ns_{};
};

}  // namespace muster::bench
