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
  /// Whether they are nowhere else: nobody has asked for them in float32 so far.
  var isAlone = false
  /// Whether a recording that did not make them reads them here.
  var isRecorded = false
}

/// The rounded factors that exist, by the address of the storage that they are copies of.
///
/// A weight is rounded once and multiplied with many times; what goes into a layer is multiplied with
/// again in the backward; and whoever writes a result can round it before it leaves the registers. So a
/// copy stays until its storage is freed or written, or the memory is wanted: every function of the
/// backend counts as writing the regions that it does not mark as read only.
///
/// Of large results that products alone are likely to read, the float32 elements are not even written:
/// half of what layers do is to wait for memory. Whoever does read them, `widen` writes them first.
typealias RoundedFactors = [UInt: [RoundedFactor]]

/// When factors are rounded and kept.
struct Rounding {
  /// The multiplications of a product for which factors are rounded first.
  var leastProduct = 1 << 24
  /// The elements of a weight, say, that is rounded for a factor that is rounded already.
  var leastFactor = 1 << 18
  /// Whether copies outlive their first product.
  var keepsCopies = true
  /// The elements of a result of which only the copy is written at first.
  var leastAlone = 1 << 20
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
    if let index = kept[storage]?.firstIndex(where: {
      $0.offset == region.offset && $0.count == count
    }), let memory = kept[storage]?[index].memory {
      if capture != nil, !isRecorded(memory) { kept[storage]?[index].isRecorded = true }
      return memory
    }
    guard let memory = obtain(byteCount: 2 * count) else { return nil }
    // A part of what only a copy has is rounded from the elements, which must be there.
    widen(region.storage, &kept)
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

  /// Where a kernel may write the rounded copy of what it writes to a region, for `keep` to remember;
  /// nowhere if products are not of bfloat16.
  func roundedTarget(_ region: Region, count: Int) -> UnsafeMutableRawPointer? {
    guard precision == .bfloat16, rounding.keepsCopies, count > 0, count % 8 == 0,
      region.offset % 4 == 0
    else { return nil }
    return obtain(byteCount: 2 * count)
  }

  /// Whether of a result only the copy need be written.
  func isAlone(_ copy: UnsafeMutableRawPointer?, count: Int, accumulating: Bool = false) -> Bool {
    copy != nil && count >= rounding.leastAlone && !accumulating
  }

  /// Remembers the copy that a kernel, which was started just now, writes.
  func keep(
    _ memory: UnsafeMutableRawPointer?, of region: Region, count: Int, isAlone: Bool = false
  ) {
    guard let memory else { return }
    let factor = RoundedFactor(
      offset: region.offset, count: count, memory: memory, isAlone: isAlone)
    let storage = region.storage.key
    roundedFactors.withLock { $0[storage, default: []].append(factor) }
  }

  /// The copy of elements that are nowhere else, for a kernel that reads either.
  func aloneCopy(of region: Region, count: Int) -> UnsafeMutableRawPointer? {
    guard precision == .bfloat16 else { return nil }
    let (storage, offset) = (region.storage.key, region.offset)
    return roundedFactors.withLock { kept in
      kept[storage]?.first { $0.isAlone && $0.offset == offset && $0.count == count }
    }?.memory
  }

  /// What a kernel is called with that reads elements either as float32 or, where they are there so
  /// alone, as bfloat16, which takes places of whole 16 bytes.
  func source(
    _ region: Region, count: Int, isAligned: Bool = true
  ) -> (elements: KernelArgument, halves: KernelArgument) {
    let halves = isAligned ? aloneCopy(of: region, count: count) : nil
    return (halves == nil ? .input(region) : .settled(region), .address(halves))
  }

  /// Starts what overwrites a whole region, and may read a copy of what it held.
  ///
  /// Elements of which only that copy exists are not written first: nobody will read them.
  func replacing(_ region: Region, count: Int, _ start: () -> Void) {
    guard precision == .bfloat16 else { return start() }
    let storage = region.storage.key
    roundedFactors.withLock { kept in
      let hasOthers = kept[storage]?.contains {
        $0.isAlone && ($0.offset != region.offset || $0.count != count)
      }
      if hasOthers == true { widen(region.storage, &kept) }
    }
    start()
    roundedFactors.withLock { forget(storage, &$0) }
  }

  /// Writes the float32 elements of what is read now, where only copies exist.
  func widen(_ regions: Region?...) {
    guard precision == .bfloat16 else { return }
    roundedFactors.withLock { kept in
      for case let region? in regions { widen(region.storage, &kept) }
    }
  }

  /// Writes the float32 elements of a storage, where only copies exist.
  func widen(_ storage: Storage, _ kept: inout RoundedFactors) {
    guard let factors = kept[storage.key], factors.contains(where: \.isAlone) else { return }
    for factor in factors where factor.isAlone {
      start(
        .unround, blocks: (Self.blocks(for: factor.count / 4), 1, 1),
        [
          .address(factor.memory), .address(storage.address + 4 * factor.offset),
          .count(factor.count / 4),
        ])
    }
    for index in factors.indices { kept[storage.key]?[index].isAlone = false }
  }

  /// Lets go of the copies of what is written now, in whole or in part.
  func forgetRounded(_ regions: Region?...) {
    guard precision == .bfloat16 else { return }
    roundedFactors.withLock { kept in
      for case let region? in regions {
        widen(region.storage, &kept)
        forget(region.storage.key, &kept)
      }
    }
  }

  /// Lets go of the copies of a storage.
  func forget(_ storage: UInt, _ kept: inout RoundedFactors) {
    for factor in kept.removeValue(forKey: storage) ?? [] {
      if factor.isRecorded { lostCopies.add(1, ordering: .relaxed) }
      giveBack(factor.memory, byteCount: 2 * factor.count)
    }
  }

  /// Lets go of all copies of what is elsewhere too.
  func forgetAllRounded() {
    roundedFactors.withLock { kept in
      for factor in kept.values.joined() where !factor.isAlone {
        if factor.isRecorded { lostCopies.add(1, ordering: .relaxed) }
        giveBack(factor.memory, byteCount: 2 * factor.count)
      }
      kept = kept.compactMapValues { factors in
        let alone = factors.filter(\.isAlone)
        return alone.isEmpty ? nil : alone
      }
    }
  }
}
