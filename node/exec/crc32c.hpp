// CRC-32C (Castagnoli) over bytes. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace muster::node {

[[nodiscard]] std::uint32_t crc32c(std::string_view bytes);

}  // namespace muster::node
