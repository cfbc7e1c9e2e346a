#include "wire/ring/frame_ring.hpp"

namespace muster {

template class BasicFrameRing<StdAtomics>;

}  // namespace muster
