// Offers without the core around them: the ledger's books, and the allocator that says who gets what. Per offer, flat from
// 1,000 to 100,000 nodes.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "master/allocator/drf.hpp"
#include "master/table/offer_ledger.hpp"

namespace muster::master {
namespace {

Resources whole() { return {.cpus_milli = 64'000, .memory_bytes = 256ULL << 30U, .ports = {}, .counts = {}}; }
Instant lease_end(std::uint64_t n) { return Instant::from_ns(static_cast<std::int64_t>(n) + 1); }

void add_nodes(OfferLedger& ledger, std::int64_t nodes) {
  for (std::int64_t i = 0; i < nodes; ++i) {
    ledger.add_node();
    ledger.set_capacity(NodeIndex(static_cast<std::uint32_t>(i)), whole());
  }
}

// Opened, closed by an accept, charged by its task, released at its end; node after node.
void offer_ledger_cycle(benchmark::State& state) {
  OfferLedger ledger;
  add_nodes(ledger, state.range(0));
  const auto nodes = static_cast<std::uint32_t>(state.range(0));
  std::uint64_t n = 0;
  for (auto _ : state) {
    const NodeIndex node(static_cast<std::uint32_t>(n % nodes));
    const OfferId id = ledger.open(node, FrameworkIndex(0), whole(), {}, lease_end(n));
    ledger.close(id);
    ledger.charge(node, whole());
    ledger.release(node, whole());
    ++n;
  }
}
BENCHMARK(offer_ledger_cycle)->ArgName("nodes")->Arg(1000)->Arg(10'000)->Arg(100'000);

struct Books final : Allocator::Sink {
  explicit Books(Drf& drf, OfferLedger& ledger) : drf(drf), ledger(ledger) {}
  void reclaim_standing(FrameworkIndex) override {}  // nobody has standing wants here
  void offer(NodeIndex node, FrameworkIndex framework, Resources resources, OfferTag tag) override {
    offers.push_back(ledger.open(node, framework, std::move(resources), tag, lease_end(++made)));
    drf.charge(framework, ledger.find(offers.back())->resources);
  }
  void close_all() {
    for (const OfferId id : offers) {
      const Offer& offer = *ledger.find(id);
      const NodeIndex node = offer.node;
      drf.discharge(offer.framework, offer.resources);
      drf.pieces_back(offer.framework, offer.tag);
      ledger.close(id);
      drf.node_freed(node);
    }
    offers.clear();
  }
  Drf& drf;
  OfferLedger& ledger;
  std::vector<OfferId> offers;
  std::uint64_t made{};
};

void fill(Drf& drf, OfferLedger& ledger, const benchmark::State& state) {
  add_nodes(ledger, state.range(0));
  const auto nodes = static_cast<std::uint32_t>(state.range(0));
  Amounts total;
  for (std::uint32_t i = 0; i < nodes; ++i) {
    total.add(whole());
    drf.set_offerable(NodeIndex(i), true);
  }
  drf.set_capacity(total);
  for (std::uint32_t f = 0; f < static_cast<std::uint32_t>(state.range(1)); ++f) {
    drf.set_role(FrameworkIndex(f), "role" + std::to_string(f % 4));
    drf.set_active(FrameworkIndex(f), true);
    drf.set_wants(FrameworkIndex(f), {{whole(), 4'000'000'000U, false, {}}});
  }
}

// All nodes at once: as when a cluster starts.
void allocator_all_nodes(benchmark::State& state) {
  OfferLedger ledger;
  Drf drf(ledger);
  Books books(drf, ledger);
  fill(drf, ledger, state);
  for (auto _ : state) {
    drf.allocate(Instant{}, books);
    state.PauseTiming();
    books.close_all();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(books.made));
}
BENCHMARK(allocator_all_nodes)->ArgNames({"nodes", "frameworks"})->Args({1000, 4})->Args({10'000, 4})->Args({100'000, 4})->Args({10'000, 32});

// A few nodes are freed and offered again, the rest is in use: the cost of an event, whatever the cluster's size.
void allocator_freed_nodes(benchmark::State& state) {
  OfferLedger ledger;
  Drf drf(ledger);
  Books books(drf, ledger);
  fill(drf, ledger, state);
  drf.allocate(Instant{}, books);
  std::vector<OfferId> open = books.offers;
  books.offers.clear();
  std::size_t next = 0;
  constexpr std::size_t kFreed = 16;
  std::vector<std::size_t> places;
  for (auto _ : state) {
    for (std::size_t i = 0; i < kFreed; ++i) {
      const std::size_t place = (next + i) % open.size();
      const Offer& offer = *ledger.find(open[place]);
      const NodeIndex node = offer.node;
      drf.discharge(offer.framework, offer.resources);
      ledger.close(open[place]);
      drf.node_freed(node);
    }
    drf.allocate(Instant{}, books);
    for (std::size_t i = 0; i < books.offers.size(); ++i) {
      open[(next + i) % open.size()] = books.offers[i];
    }
    books.offers.clear();
    next = (next + kFreed) % open.size();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kFreed));
}
BENCHMARK(allocator_freed_nodes)->ArgNames({"nodes", "frameworks"})->Args({1000, 4})->Args({10'000, 4})->Args({100'000, 4})->Args({10'000, 32});

}  // namespace
}  // namespace muster::master
