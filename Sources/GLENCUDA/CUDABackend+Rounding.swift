import GLENTensor
import Synchronization

/// Elements of a tensor in bfloat16, as factors of products.
///
/// `@unchecked Sendable`: device memory, which every thread may name.
struct RoundedFactor: @unchecked Sendable {
  /// The first element in its storage, and how many there are.
  var offset: Int, count: Int
  /// Where they are, rounded.
  var memory: UnsafeMutableRawPointer
}

/// The rounded factors that exist, by the address of the storage that they are copies of.
///
/// A weight is rounded once and multiplied with many times; what goes into a layer is multiplied with
/// again in the backward; and whoever writes a result can round it before it leaves the registers. So a
/// copy stays until its storage is freed or written, or the memory is wanted: every function of the
/// backend counts as writing the regions that it does not mark as read only.
typealias RoundedFactors = [UInt: [RoundedFactor]]

/// When factors are rounded and kept.
struct Rounding {
  /// The multiplications of a product for which factors are rounded first.
  var leastProduct = 1 << 24
  /// The elements of a weight, say, that is rounded for a factor that is rounded already.
  var leastFactor = 1 << 18
  /// Whether copies outlive their first product.
  var keepsCopies = true
}

extension Storage {
  /// What the rounded factors are found by.
  var key: UInt { UInt(bitPattern: address) }
}

extension CUDABackend {
  /// A matrix in bfloat16: the copy that exists, or a new one; nil where there is no memory for it.
  func rounded(
    _ region: Region, count: Int, _ kept: inout RoundedFactors
  ) -> UnsafeMutableRawPointer? {
    let storage = region.storage.key
    if let found = kept[storage]?.first(where: {
      $0.offset == region.offset && $0.count == count
    }) {
      return found.memory
    }
    guard let memory = memory.allocate(byteCount: 2 * count) else { return nil }
    start(
      .round, blocks: (Self.blocks(for: count / 8), 1, 1),
      [.address(region.address), .address(memory), .count(count / 8)])
    kept[storage, default: []].append(
      RoundedFactor(offset: region.offset, count: count, memory: memory))
    return memory
  }

  /// Whether a copy exists.
  static func isRounded(_ region: Region, count: Int, _ kept: RoundedFactors) -> Bool {
    kept[region.storage.key]?.contains {
      $0.offset == region.offset && $0.count == count
    } ?? false
  }

  /// Where a kernel may write the rounded copy of what it writes to a region: nowhere if products are
  /// not of bfloat16. It must be given to `keep`.
  func roundedTarget(_ region: Region, count: Int) -> UnsafeMutableRawPointer? {
    guard precision == .bfloat16, rounding.keepsCopies, count > 0, count % 8 == 0, region.offset % 4 == 0 else {
      return nil
    }
    return memory.allocate(byteCount: 2 * count)
  }

  /// Remembers the copy that a kernel, which was started just now, writes.
  func keep(_ memory: UnsafeMutableRawPointer?, of region: Region, count: Int) {
    guard let memory else { return }
    let factor = RoundedFactor(offset: region.offset, count: count, memory: memory)
    let storage = region.storage.key
    roundedFactors.withLock { $0[storage, default: []].append(factor) }
  }

  /// Lets go of the copies of what is written now.
  func forgetRounded(_ regions: Region?...) {
    guard precision == .bfloat16 else { return }
    roundedFactors.withLock { kept in
      for region in regions {
        if let region { forget(region.storage.key, &kept) }
      }
    }
  }

  /// Lets go of the copies of a storage.
  func forget(_ storage: UInt, _ kept: inout RoundedFactors) {
    for factor in kept.removeValue(forKey: storage) ?? [] {
      memory.free(factor.memory, byteCount: 2 * factor.count)
    }
  }

  /// Lets go of all copies.
  func forgetAllRounded() {
    roundedFactors.withLock { kept in
      for factor in kept.values.joined() {
        memory.free(factor.memory, byteCount: 2 * factor.count)
      }
      kept = [:]
    }
  }
}
