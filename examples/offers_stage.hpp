// What offers.cpp plays on: two frameworks without a mind of their own, and what may be expected of a master.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "sched/client/driver.hpp"
#include "wire/socket/poller.hpp"
#include "wire/socket/request_client.hpp"

namespace muster::client {

inline int step_number = 0;

inline void say(const std::string& line) { std::printf("%s\n", line.c_str()); }
inline void step(const std::string& what) { say("\nstep " + std::to_string(++step_number) + ": " + what); }
inline void expect(bool holds, const std::string& what) {
  if (!holds) {
    std::fprintf(stderr, "offers: step %d failed: expected %s\n", step_number, what.c_str());
    std::_Exit(1);  // offers.sh ends whatever runs
  }
}
template <class T>
T need(Result<T> result) {
  expect(result.has_value(), result ? "" : "no error: " + result.error().text);
  return *std::move(result);
}
inline Resources res(const std::string& text) { return need(parse_resources(text)); }
inline std::string show(const Resources& r) {
  return format_cpus(r.cpus_milli) + (r.cpus_milli == 1000 ? " cpu, " : " cpus, ") +
         std::to_string(r.memory_bytes >> 20U) + " MB" + (r.ports.empty() ? "" : ", ports " + r.ports.to_string());
}
inline Now now() { return SystemClock{}.now(); }

// Keeps what it is told. Both follow one script, so Stage::wait drives their links, as run() would. One thread.
struct Player : Framework {
  Player(Context& context, const Endpoint& endpoint, std::uint64_t id)
      : name("framework " + std::to_string(id)), dealer(need(Dealer::connect(context, endpoint))),
        master({.framework = FrameworkId{id}, .name = name, .user = {}, .first_incarnation = Incarnation{1},
                .auto_acknowledge = true}, *this) {}
  void on_registered(Epoch, Now) override {}
  void on_offers(std::span<const Offer> some, Now) override { offers.insert(offers.end(), some.begin(), some.end()); }
  void on_accepted(const AcceptAnswer& given, Now) override { answers.push_back(given); }
  void on_update(std::span<const TaskUpdate> updates, Now) override {
    for (const TaskUpdate& update : updates) {
      tasks[update.attempt.lo] = update;
    }
  }
  void request(std::uint32_t count, const char* shape) {
    say("  " + name + " requests " + std::to_string(count) + " x (" + show(res(shape)) + ")");
    master.request({{.shape = res(shape), .count = count, .whole_rest = false, .nodes = {}}});
  }
  void decline(Duration filter) {
    master.decline(std::vector{offers.at(0).id}, filter);
    offers.clear();
  }
  std::string name;
  Dealer dealer;
  MasterLink master;
  std::vector<Offer> offers;  // open
  std::vector<AcceptAnswer> answers;
  std::map<std::uint64_t, TaskUpdate> tasks;
};

// Both frameworks, and what is expected of the master. One thread.
struct Stage {
  std::string dir;
  Endpoint endpoint{need(ipc_endpoint(dir + "/master.ipc"))};
  Context context{};
  Player one{context, endpoint, 1};
  Player two{context, endpoint, 2};
  RequestClient questions{need(RequestClient::connect(context, endpoint))};

  void wait(const std::string& what, const std::function<bool()>& come) {
    for (const Instant deadline = now().mono + Duration::from_seconds(10);;) {
      Poller poller;
      for (Player* player : {&one, &two}) {
        while (const auto change = player->dealer.next_change()) {
          *change == LinkChange::up ? player->master.on_link_up(now()) : player->master.on_link_down(now());
        }
        std::vector<FrameBytes> frames(1);
        while (need(player->dealer.receive(frames[0]))) {
          player->master.on_frame(*verify_frame(frames[0]).value(), now());
        }
        frames.clear();
        player->master.on_timer(now());
        player->master.flush(now(), frames);
        for (const FrameBytes& frame : frames) {
          expect(need(player->dealer.send(frame)) == SendOutcome::sent, "the master to take frames");
        }
        poller.add(player->dealer, 1);
      }
      if (come()) {
        return;
      }
      expect(now().mono < deadline, what + " within 10 s");
      (void)need(poller.wait(std::min({one.master.next_timer(), two.master.next_timer(), deadline})));
    }
  }
  // The next offer to `who` is on node1 and exactly this. How long it took.
  Duration offered(Player& who, const char* exactly) {
    const std::string expected = "<node1, " + show(res(exactly)) + ">";
    const Instant begun = now().mono;
    wait(who.name + " offered " + expected, [&] { return !who.offers.empty(); });
    const Offer& offer = who.offers[0];
    const Duration took = now().mono - begun;
    const std::string text = "<" + who.master.node(offer.node)->name + ", " + show(offer.resources) + ">";
    say("  " + who.name + " is offered " + text + " after " + std::to_string(took.ms()) + " ms");
    expect(who.offers.size() == 1 && text == expected && offer.resources == res(exactly), "one offer: " + expected);
    return took;
  }
  // By the word of the master, whose allocator keeps it.
  void stored(const Player& who) {
    fb::OperatorQueryT query;
    query.request = 1;
    query.subject = fb::Subject::Frameworks;
    wait("the request of " + who.name + " in the master, and no offer", [&] {
      const auto bytes = need(questions.call(pack_frame<fb::OperatorQuery>({}, query), 1, now().mono + Duration::from_seconds(5)));
      const auto* reply = fb::GetFrame(bytes.data())->body_as_OperatorReply();
      expect(reply != nullptr && reply->frameworks() != nullptr, "the master's list of frameworks");
      return std::any_of(reply->frameworks()->begin(), reply->frameworks()->end(), [&](const fb::FrameworkRow* row) {
        return text_of(row->name()) == who.name && row->wants() == 1 && row->offers() == 0;
      });
    });
    say("  stored: the master keeps 1 request of " + who.name + ", and has no offer for it yet");
  }
  // Tasks that end when told to, on the open offer of `who`. Taken whole, unless a refusal's subject is given.
  void launch(Player& who, const std::map<std::uint64_t, const char*>& shapes, const std::string& refusal = "") {
    AcceptRequest request{.offers = {who.offers.at(0).id}, .launches = {}, .specs = {}};
    for (const auto& [task, shape] : shapes) {
      say("  " + who.name + " launches task " + std::to_string(task) + " (" + show(res(shape)) + ")");
      const auto spec = static_cast<std::uint16_t>(request.specs.size());
      request.launches.push_back({.attempt = {1, task}, .node = who.offers[0].node, .spec = spec, .resources = res(shape)});
      request.specs.push_back(command_spec({"/bin/sh", "-c", "until [ -e \"$0\" ]; do sleep 0.05; done", flag(task)}));
    }
    who.answers.clear();
    (void)who.master.accept(request);
    wait("an answer to the accept", [&] { return !who.answers.empty(); });
    const AcceptAnswer& answer = who.answers[0];
    expect(answer.subject == refusal && (answer.code == fb::RefusedCode::None) == refusal.empty(),
           (refusal.empty() ? "no refusal" : "a refusal of " + refusal) + ", not: " + answer.subject + " " + answer.text);
    if (!refusal.empty()) {
      return say("  refused: " + std::string(to_string(answer.code)) + ": " + answer.subject + ": " + answer.text);
    }
    who.offers.clear();
    for (const auto& [task, shape] : shapes) {
      wait_state(who, task, TaskState::running, " is RUNNING on cpus ");
    }
  }
  void wait_state(Player& who, std::uint64_t task, TaskState state, const char* words) {
    const TaskUpdate& is = who.tasks[task];
    wait("task " + std::to_string(task) + " " + std::string(to_string(state)), [&] { return is.state == state; });
    say("  task " + std::to_string(task) + words + (is_terminal(state) ? std::to_string(is.exit_code) : is.cpus));
  }
  void end(Player& who, std::uint64_t task) {
    std::ofstream(flag(task)).close();
    wait_state(who, task, TaskState::finished, " has finished, exit code ");
    expect(who.tasks[task].exit_code == 0, "exit code 0");
  }
  [[nodiscard]] std::string flag(std::uint64_t task) const { return dir + "/task" + std::to_string(task) + ".end"; }
};

}  // namespace muster::client
