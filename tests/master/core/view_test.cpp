// Goal: the picture for readers is the same to the last field, however many threads made it. Method: the same random life of a
// large cluster, with the passes on 1, 2 and 8 threads and without any; all rows of all pictures are compared.
#include "tests/master/core/fake_cluster.hpp"
#include "master/view/cluster_view.hpp"

using namespace muster;
using namespace muster::master;
using namespace muster::master::test;

namespace {

constexpr std::uint32_t kNodes = 6000;
constexpr int kPictures = 4;

using Pictures = std::vector<std::shared_ptr<const ClusterView>>;

// Offers, launches, ends and drains at random places; a picture now and then.
Pictures live(const ParallelFor& parallel, std::uint64_t seed) {
  MasterConfig config;
  config.parallel_for = parallel;
  FakeCluster cluster(config);
  cluster.auditing = false;
  std::vector<std::string> names;
  for (std::uint32_t i = 0; i < kNodes; ++i) {
    names.push_back("n" + std::to_string(i));
  }
  FakeNode& node = cluster.nodes(names, res("cpus=4"));
  FakeFramework& one = cluster.framework(11, "one");
  node.enroll();
  one.subscribe();
  cluster.settle();
  Pictures out;
  std::uint64_t random = seed;
  std::uint64_t next = 0;
  for (int picture = 0; picture < kPictures; ++picture) {
    one.request({{res("cpus=1"), kNodes}});
    std::size_t accepted = 0;
    while (!one.offers.empty() && accepted < 20) {
      random = mix64(random + 1);
      std::vector<OfferId> ids;
      std::vector<FakeFramework::Launch> launches;
      for (std::uint64_t k = random % 200; k > 0 && !one.offers.empty(); --k) {
        const auto offer = one.offers[mix64(random + k) % one.offers.size()];
        std::erase_if(one.offers, [&](const auto& o) { return o.id == offer.id; });
        ids.push_back(offer.id);
        launches.push_back({attempt(++next), offer.node, res("cpus=1")});
      }
      REQUIRE(one.answer(one.accept(ids, launches)).code == fb::RefusedCode::None);
      ++accepted;
    }
    out.push_back(cluster.core().view(cluster.now()));
    cluster.advance(Duration::from_ms(static_cast<std::int64_t>(random % 700)));
  }
  return out;
}

template <class Row>
bool same_rows(const ViewRows<Row>& a, const ViewRows<Row>& b) {
  if (a.size() != b.size() || a.chunks().size() != b.chunks().size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.chunks().size(); ++i) {
    if (*a.chunks()[i] != *b.chunks()[i]) {
      return false;
    }
  }
  return true;
}

}  // namespace

TEST_CASE("pictures of a large cluster are the same for 1, 2 and 8 threads") {
  for (const std::uint64_t seed : {1U, 2U}) {
    const Pictures serial = live({}, seed);
    REQUIRE(serial.back()->nodes.size() == kNodes);
    REQUIRE(serial.back()->tasks.size() > 1000);
    REQUIRE(serial.back()->offers.size() > 100);
    for (const unsigned threads : {1U, 2U, 8U}) {
      std::size_t passes = 0;
      const ParallelFor pool = parallel_for_on(threads);
      const Pictures parallel = live(
          [&](std::size_t count, const std::function<void(std::size_t)>& part) {
            ++passes;
            pool(count, part);
          },
          seed);
      CHECK(passes > 0);
      REQUIRE(parallel.size() == serial.size());
      for (std::size_t i = 0; i < serial.size(); ++i) {
        CHECK(same_rows(serial[i]->nodes, parallel[i]->nodes));
        CHECK(same_rows(serial[i]->frameworks, parallel[i]->frameworks));
        CHECK(same_rows(serial[i]->offers, parallel[i]->offers));
        CHECK(same_rows(serial[i]->tasks, parallel[i]->tasks));
      }
    }
  }
}

TEST_CASE("each part of a pass is done once, on any number of threads") {
  for (const unsigned threads : {1U, 2U, 8U}) {
    std::vector<int> done(1000, 0);
    parallel_for_on(threads)(done.size(), [&](std::size_t i) { ++done[i]; });
    CHECK(done == std::vector<int>(1000, 1));
  }
}
