// QueryBudget: how much of the core's time operators' queries may take, in all and from each link. Pure.
//
// Paid afterwards, in rows: who has spent more than has come in since is refused until it has. A link that asks
// without end leaves the others their part.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "wire/base/ids.hpp"
#include "wire/base/time.hpp"

namespace muster::master {

class QueryBudget {
 public:
  static constexpr std::uint64_t kRowsPerQuery = 10;  // what asking costs by itself
  static constexpr Duration kRowOfLink = Duration::from_us(50);
  static constexpr Duration kRowOfAll = Duration::from_us(25);
  static constexpr Duration kSaved = Duration::from_seconds(8);  // unspent income is kept for so long
  static constexpr std::size_t kLinksMax = 256;                  // remembered; more share the budget of all

  [[nodiscard]] bool admits(LinkId link, Instant now) {
    return all_ <= now && account(link, now).spent_until <= now;
  }
  void charge(LinkId link, std::uint64_t rows, Instant now) {
    const auto cost = static_cast<std::int64_t>(rows + kRowsPerQuery);
    all_ = std::max(all_, now - kSaved) + kRowOfAll * cost;
    Account& own = account(link, now);
    own.spent_until = std::max(own.spent_until, now - kSaved) + kRowOfLink * cost;
  }

 private:
  struct Account {
    LinkId link;
    Instant spent_until;
  };
  Account& account(LinkId link, Instant now) {
    const auto found = std::find_if(accounts_.begin(), accounts_.end(), [&](const Account& a) { return a.link == link; });
    if (found != accounts_.end()) {
      return *found;
    }
    if (accounts_.size() < kLinksMax) {
      return accounts_.emplace_back(Account{link, now - kSaved});
    }
    // The one that has the most left loses least.
    Account& idle = *std::min_element(accounts_.begin(), accounts_.end(), [](const Account& a, const Account& b) {
      return a.spent_until < b.spent_until;
    });
    idle = {link, now - kSaved};
    return idle;
  }

  Instant all_{Instant::from_ns(std::numeric_limits<std::int64_t>::min())};  // all income until then is spent
  std::vector<Account> accounts_;
};

}  // namespace muster::master
