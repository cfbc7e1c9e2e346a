// Runs every order of a small program's steps, and says which order breaks it. Pure: its threads are fibers of the caller.
//
// A step is one atomic operation. Stores that are not sequentially consistent go to a buffer of their thread and reach memory
// later, in order, as steps of their own (as on x86: a store may be overtaken by a later load). Who wrote what others then
// read is followed by vector clocks, so that plain memory that is not handed over by a release and an acquire is a race,
// in whichever order it shows. Orders that differ only in steps that don't touch each other are run once (sleep sets).
// What it does not model: loads that overtake loads other than by such a race.
//
//   const auto outcome = explore([](Run& run) {
//     auto ring = std::make_shared<SpscRing<Plain<int>, Model<>>>(2);
//     run.thread([=] { … });  run.thread([=, &run] { run.expect(…, "in order"); });  run.at_end([=, &run] { … });
//   });
//   CHECK(outcome.problem == "");
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace muster::interleaving {

inline constexpr std::size_t kThreadsMax = 4;

using Clock = std::array<std::uint32_t, kThreadsMax>;

inline void join(Clock& into, const Clock& other) {
  for (std::size_t i = 0; i < kThreadsMax; ++i) {
    into[i] = into[i] < other[i] ? other[i] : into[i];
  }
}

// The shared part of an atomic: what is in memory, and what whoever acquires it knows.
struct Location {
  std::uint64_t bits{};
  Clock clock{};
};

// What became of a program.
struct Outcome {
  std::string problem;        // "" = none; with the steps that led to it
  std::uint64_t orders{};     // run to their end
  std::uint64_t cut_short{};  // given up because another order shows the same
};

// One order of the program's steps.
class Run {
 public:
  static inline Run* current = nullptr;

  void thread(std::function<void()> body) {
    threads_.push_back(std::make_unique<Thread>());
    threads_.back()->body = std::move(body);
  }
  void at_end(std::function<void()> body) { at_end_ = std::move(body); }
  void expect(bool condition, const std::string& what) {
    if (!condition && problem_.empty()) {
      problem_ = what + ":" + steps();
    }
  }

  // ---- for the model: called on a fiber, or outside of any (then nothing is a step)
  [[nodiscard]] bool on_fiber() const { return running_ != nullptr; }
  std::uint64_t load(Location& at, bool acquire) {
    if (!on_fiber()) {
      return at.bits;
    }
    step({&at, false, false}, "reads");
    for (auto entry = running_->buffer.rbegin(); entry != running_->buffer.rend(); ++entry) {
      if (entry->at == &at) {
        return entry->bits;  // its own, not in memory yet
      }
    }
    if (acquire) {
      join(running_->clock, at.clock);
    }
    return at.bits;
  }
  void store(Location& at, std::uint64_t bits, bool release, bool sequential) {
    if (!on_fiber()) {
      at.bits = bits;
      return;
    }
    if (sequential) {
      step({&at, true, true}, "writes");
      at.bits = bits;
      at.clock = released(release);
      return;
    }
    running_->buffer.push_back({&at, bits, released(release)});
  }
  // f(old) gives the new value, or the old one again.
  template <class F>
  std::uint64_t modify(Location& at, bool acquire, bool release, F&& f) {
    if (!on_fiber()) {
      const std::uint64_t old = at.bits;
      at.bits = f(old);
      return old;
    }
    step({&at, true, true}, "changes");
    const std::uint64_t old = at.bits;
    at.bits = f(old);
    if (acquire) {
      join(running_->clock, at.clock);
    }
    join(at.clock, released(release));
    return old;
  }
  // Sleeps until `at` is not zero.
  void wait_for(Location& at) {
    if (on_fiber()) {
      running_->waits = true;
      step({&at, false, true}, "sleeps on");
      running_->waits = false;
    }
  }
  // Any other moment at which others may run.
  void pause() {
    if (on_fiber()) {
      step({nullptr, false, false}, "pauses");
    }
  }
  // Plain memory.
  void touch(const void* at, bool write) {
    if (!on_fiber()) {
      return;
    }
    Plain& plain = plain_of(at);
    const std::size_t me = running_->number;
    for (std::size_t other = 0; other < threads_.size(); ++other) {
      if (other != me && (plain.written[other] > running_->clock[other] ||
                          (write && plain.read[other] > running_->clock[other]))) {
        expect(false, "a race: thread " + std::to_string(me) + (write ? " writes" : " reads") + " what thread " +
                          std::to_string(other) + " may be " + (plain.written[other] > running_->clock[other] ? "writing" : "reading"));
      }
    }
    (write ? plain.written : plain.read)[me] = running_->clock[me];
  }

 private:
  friend Outcome explore(const std::function<void(Run&)>& program);
  struct Footprint {
    const Location* at{};
    bool write{};
    bool drained{};  // only once the thread's own stores are in memory
  };
  struct Buffered {
    Location* at;
    std::uint64_t bits;
    Clock clock;
  };
  struct Thread {
    std::function<void()> body;
    std::size_t number{};
    ucontext_t context{};
    std::unique_ptr<char[]> stack;
    bool done{};
    bool waits{};
    Footprint next{};
    const char* what{"begins"};
    std::deque<Buffered> buffer;
    Clock clock{};
  };
  struct Taken {
    std::size_t thread{};
    const char* what{};
    const Location* at{};
  };
  struct Plain {
    const void* at{};
    Clock written{}, read{};
  };
  static constexpr std::size_t kStackBytes = 128U << 10U;

  // Transition 2n: the next step of thread n. 2n + 1: its oldest buffered store reaches memory.
  [[nodiscard]] bool enabled(std::size_t transition) const {
    const Thread& thread = *threads_[transition / 2];
    if (transition % 2 == 1) {
      return !thread.buffer.empty();
    }
    return !thread.done && (!thread.next.drained || thread.buffer.empty()) && (!thread.waits || thread.next.at->bits != 0);
  }
  [[nodiscard]] Footprint footprint(std::size_t transition) const {
    const Thread& thread = *threads_[transition / 2];
    return transition % 2 == 1 ? Footprint{thread.buffer.front().at, true, false} : thread.next;
  }
  [[nodiscard]] bool independent(std::size_t a, std::size_t b) const {
    if (a / 2 == b / 2) {
      return false;
    }
    const Footprint x = footprint(a);
    const Footprint y = footprint(b);
    // A step without a place stands for anything.
    return x.at != nullptr && y.at != nullptr && (x.at != y.at || (!x.write && !y.write));
  }
  void take(std::size_t transition) {
    Thread& thread = *threads_[transition / 2];
    if (!free_) {
      trace_.push_back({thread.number, transition % 2 == 1 ? "has written" : thread.what, footprint(transition).at});
    }
    if (transition % 2 == 1) {
      const Buffered entry = thread.buffer.front();
      thread.buffer.pop_front();
      entry.at->bits = entry.bits;
      entry.at->clock = entry.clock;
      return;
    }
    running_ = &thread;
    ::swapcontext(&home_, &thread.context);
    running_ = nullptr;
  }
  void step(Footprint next, const char* what) {
    if (free_ && running_->waits) {
      return;  // the run is over: only get to the end
    }
    if (free_) {
      while (!running_->buffer.empty()) {
        running_->buffer.front().at->bits = running_->buffer.front().bits;
        running_->buffer.pop_front();
      }
      return;
    }
    running_->next = next;
    running_->what = what;
    ::swapcontext(&running_->context, &home_);
  }
  Clock released(bool release) {
    const Clock now = running_->clock;
    if (release) {
      ++running_->clock[running_->number];
      return now;
    }
    return {};
  }
  Plain& plain_of(const void* at) {
    for (Plain& plain : plains_) {
      if (plain.at == at) {
        return plain;
      }
    }
    return plains_.emplace_back(Plain{at});
  }
  // "0 reads a, 1 changes b, …": places have letters in the order in which they are met.
  [[nodiscard]] std::string steps() const {
    std::string out;
    std::vector<const Location*> met;
    for (const Taken& taken : trace_) {
      out += (out.empty() ? " " : ", ") + std::to_string(taken.thread) + " " + taken.what;
      if (taken.at != nullptr) {
        const auto found = std::find(met.begin(), met.end(), taken.at);
        out += std::string(" ") + static_cast<char>('a' + (found - met.begin()));
        if (found == met.end()) {
          met.push_back(taken.at);
        }
      }
    }
    return out;
  }
  static void enter() {
    Run& run = *current;
    run.running_->body();
    run.running_->done = true;
    ::swapcontext(&run.running_->context, &run.home_);
  }
  // Ready to take steps: each thread stands before its first one.
  void begin(std::vector<std::unique_ptr<char[]>>& stacks) {
    current = this;
    while (stacks.size() < threads_.size()) {
      stacks.push_back(std::make_unique<char[]>(kStackBytes));
    }
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      Thread& thread = *threads_[i];
      thread.number = i;
      thread.clock[i] = 1;
      ::getcontext(&thread.context);
      thread.context.uc_stack.ss_sp = stacks[i].get();
      thread.context.uc_stack.ss_size = kStackBytes;
      thread.context.uc_link = nullptr;
      ::makecontext(&thread.context, &Run::enter, 0);
    }
    for (std::size_t i = 0; i < threads_.size(); ++i) {
      take(2 * i);  // up to its first step
    }
    trace_.clear();
  }
  // Gives the order up: everybody runs to the end, so that nothing stays on a stack.
  void finish() {
    free_ = true;
    for (auto& thread : threads_) {
      while (!thread->done) {
        take(2 * thread->number);
      }
    }
    current = nullptr;
  }

  std::vector<std::unique_ptr<Thread>> threads_;
  std::function<void()> at_end_;
  ucontext_t home_{};
  Thread* running_{};
  bool free_{};
  std::string problem_;
  std::vector<Taken> trace_;
  std::vector<Plain> plains_;
};

// Runs `program` (which makes its threads, the same each time) in every order, until one breaks it. The program's threads
// must end whatever they see: no loop until another thread acts, except by wait_for.
inline Outcome explore(const std::function<void(Run&)>& program) {
  struct Fork {
    std::vector<std::size_t> choices;
    std::size_t at{};
    std::uint32_t asleep{};  // explored elsewhere: a bit per transition
  };
  Outcome outcome;
  std::vector<std::unique_ptr<char[]>> stacks;
  std::vector<Fork> forks;
  do {
    Run run;
    program(run);
    run.begin(stacks);
    std::uint32_t asleep = 0;
    bool cut = false;
    for (std::size_t depth = 0; run.problem_.empty(); ++depth) {
      if (depth == forks.size()) {
        Fork fork;
        fork.asleep = asleep;
        std::size_t enabled = 0;
        bool over = true;
        for (std::size_t t = 0; t < 2 * run.threads_.size(); ++t) {
          over = over && run.threads_[t / 2]->done;
          if (run.enabled(t)) {
            ++enabled;
            if ((asleep >> t & 1U) == 0) {
              fork.choices.push_back(t);
            }
          }
        }
        if (enabled == 0) {
          run.expect(over, "nobody can go on: a wake-up is lost");
          break;
        }
        cut = fork.choices.empty();
        if (cut) {
          break;
        }
        forks.push_back(std::move(fork));
      }
      const Fork& fork = forks[depth];
      const std::size_t chosen = fork.choices[fork.at];
      asleep = 0;
      for (std::size_t t = 0; t < 2 * run.threads_.size(); ++t) {
        bool sleeps = (fork.asleep >> t & 1U) != 0;
        for (std::size_t i = 0; i < fork.at; ++i) {
          sleeps = sleeps || fork.choices[i] == t;
        }
        if (sleeps && run.independent(t, chosen)) {
          asleep |= 1U << t;
        }
      }
      run.take(chosen);
    }
    const bool whole = run.problem_.empty() && !cut;
    const std::string problem = run.problem_;
    run.finish();
    if (whole && run.at_end_) {
      run.at_end_();
    }
    outcome.problem = problem.empty() ? run.problem_ : problem;
    ++(cut ? outcome.cut_short : outcome.orders);
    while (!forks.empty() && ++forks.back().at == forks.back().choices.size()) {
      forks.pop_back();
    }
  } while (outcome.problem.empty() && !forks.empty());
  return outcome;
}

// What a model leaves out, to see that the tests would notice.
enum class Weak : std::uint8_t {
  nothing,
  release,   // releasing stores release nothing
  exchange,  // read-modify-writes are a read, and a store that may be overtaken
};

// Stands for StdAtomics.
template <Weak kWeak = Weak::nothing>
struct Model {
  static void wrote(const void* at) { touch(at, true); }
  static void reads(const void* at) { touch(at, false); }
  static void touch(const void* at, bool write) {
    if (Run::current != nullptr) {
      Run::current->touch(at, write);
    }
  }

  template <class T>
  class Atomic {
   public:
    Atomic() = default;
    explicit(false) Atomic(T value) { at_.bits = to_bits(value); }
    Atomic(const Atomic&) = delete;
    T load(std::memory_order order) const {
      return from_bits(Run::current == nullptr ? at_.bits : Run::current->load(at_, order != std::memory_order_relaxed));
    }
    void store(T value, std::memory_order order) {
      if (Run::current == nullptr) {
        at_.bits = to_bits(value);
        return;
      }
      Run::current->store(at_, to_bits(value), order != std::memory_order_relaxed && kWeak != Weak::release,
                          order == std::memory_order_seq_cst);
    }
    T exchange(T value, std::memory_order order) {
      return modify(order, [&](T) { return value; });
    }
    T fetch_add(T more, std::memory_order order) {
      return modify(order, [&](T old) { return old + more; });
    }
    bool compare_exchange_strong(T& expected, T value, std::memory_order order) {
      const T old = modify(order, [&](T now) { return now == expected ? value : now; });
      const bool same = old == expected;
      expected = old;
      return same;
    }
    // Sleeps until it is not zero.
    void wait_for() const {
      if (Run::current != nullptr) {
        Run::current->wait_for(at_);
      }
    }

   private:
    static std::uint64_t to_bits(T value) {
      std::uint64_t bits = 0;
      std::memcpy(&bits, &value, sizeof value);
      return bits;
    }
    static T from_bits(std::uint64_t bits) {
      T value;
      std::memcpy(&value, &bits, sizeof value);
      return value;
    }
    template <class F>
    T modify(std::memory_order order, F&& f) {
      if constexpr (kWeak == Weak::exchange) {
        const T old = load(order);
        store(f(old), std::memory_order_release);
        return old;
      }
      if (Run::current == nullptr) {
        const T old = from_bits(at_.bits);
        at_.bits = to_bits(f(old));
        return old;
      }
      const bool orders = order != std::memory_order_relaxed;
      return from_bits(
          Run::current->modify(at_, orders, orders, [&](std::uint64_t old) { return to_bits(f(from_bits(old))); }));
    }
    mutable Location at_;
  };
};

// A value in plain memory: who reads or writes it without having been handed it is in a race.
template <class T>
class Plain {
 public:
  Plain() = default;
  explicit(false) Plain(T value) : value_(value) {}
  Plain(const Plain& other) : value_(other.get()) {}
  Plain& operator=(const Plain& other) {
    const T value = other.get();
    Model<>::wrote(this);
    value_ = value;
    return *this;
  }
  [[nodiscard]] T get() const {
    Model<>::reads(this);
    return value_;
  }

 private:
  T value_{};
};

}  // namespace muster::interleaving
