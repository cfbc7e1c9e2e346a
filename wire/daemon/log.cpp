#include "wire/daemon/log.hpp"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace muster::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::trace: return spdlog::level::trace;
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
    case Level::off: return spdlog::level::off;
  }
  return spdlog::level::info;
}

// Before open(): warnings to stderr.
std::shared_ptr<spdlog::logger> first_logger() {
  auto logger = std::make_shared<spdlog::logger>("muster", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(spdlog::level::warn);
  return logger;
}

// Replaced once, by open(), before threads start.
std::shared_ptr<spdlog::logger>& logger() {
  static std::shared_ptr<spdlog::logger> instance = first_logger();
  return instance;
}

}  // namespace

Status open(const Options& options) {
  try {
    std::shared_ptr<spdlog::sinks::sink> sink;
    if (options.path.empty()) {
      sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
    } else {
      sink = std::make_shared<spdlog::sinks::rotating_file_sink_mt>(options.path, options.rotate_bytes,
                                                                    options.files_kept);
    }
    auto made = std::make_shared<spdlog::logger>(options.daemon, std::move(sink));
    made->set_level(to_spdlog(options.level));
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%f%z %l %n[%P] %v");
    made->flush_on(spdlog::level::info);
    logger() = std::move(made);
  } catch (const std::exception& error) {
    return fail(Errc::io, "log file " + options.path + ": " + error.what());
  }
  return {};
}

Result<Level> parse_level(std::string_view text) {
  constexpr std::string_view kNames[] = {"trace", "debug", "info", "warn", "error", "off"};
  for (std::uint8_t i = 0; i < std::size(kNames); ++i) {
    if (text == kNames[i]) {
      return static_cast<Level>(i);
    }
  }
  return fail(Errc::invalid_argument,
              "log level '" + std::string(text) + "': one of trace, debug, info, warn, error, off");
}

bool enabled(Level level) { return logger()->should_log(to_spdlog(level)); }

void write(Level level, std::string_view text) {
  logger()->log(to_spdlog(level), spdlog::string_view_t(text.data(), text.size()));
}

void flush() { logger()->flush(); }

}  // namespace muster::log
