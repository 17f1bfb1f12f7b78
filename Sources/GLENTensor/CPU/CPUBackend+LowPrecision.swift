import CGLENKernels

/// The instruction sets that products of low precision are written for.
public enum InstructionSet: String, Sendable, CaseIterable {
  /// Plain C.
  case portable
  /// Arm's, with dot products.
  case neon
  /// x86-64's of 2013.
  case avx2
  /// x86-64's of 2019 and later: VNNI for int8, BF16 for bfloat16.
  case avx512

  var kernels: Int32 {
    switch self {
    case .portable: Int32(GLEN_PORTABLE)
    case .neon: Int32(GLEN_NEON)
    case .avx2: Int32(GLEN_AVX2)
    case .avx512: Int32(GLEN_AVX512)
    }
  }
}

extension LowPrecision {
  fileprivate var type: Int32 {
    switch self {
    case .int8: Int32(GLEN_INT8)
    case .bf16: Int32(GLEN_BFLOAT16)
    }
  }
}

// Products of low precision are the processor's own and not part of `Backend`: another device has other
// types, and orders weights otherwise.
extension CPUBackend {
  /// From this many rows on, threads share the rows and each reads all weights; below, they share the
  /// weights.
  private static let manyRows = 48
  /// The bytes of packed activations that a thread multiplies at a time: they stay in its cache, and
  /// weights come by once for each such block.
  private static let blockBytes = 1 << 18

  /// Rounds and orders a matrix `[rows, columns]`.
  func pack(_ matrix: Region, into packed: PackedMatrix) {
    let from = matrix.floats
    parallel((packed.rows + 15) / 16, grain: 1 + (1 << 16) / max(packed.columns * 16, 1)) { range in
      glen_pack_weights(
        packed.precision.type, packed.rows, packed.columns, range.lowerBound, range.upperBound,
        from, packed.values.address, packed.scalePointer)
    }
  }

  /// y = alpha x Wᵀ + beta y for `rows` rows of x.
  func packedProduct(
    rows: Int, _ x: Region, _ weight: PackedMatrix, into y: Region, alpha: Float, beta: Float
  ) {
    guard rows > 0, weight.rows > 0 else { return }
    let (x, y, columns) = (x.floats, y.floats, weight.columns)
    let panels = (weight.rows + 15) / 16
    let type = weight.precision.type
    let kernels = glen_packed_kernels(type, instructionSet.kernels)
    let rowBytes = glen_packed_row_byte_count(type, kernels, columns)
    let work = PackedWork(
      arguments: glen_packed_product_arguments(
        type: type, kernels: kernels, rows: rows, inputs: columns, outputs: weight.rows, first: 0,
        last: panels, activations: nil, row: nil, weights: weight.values.address,
        scales: weight.scalePointer, alpha: alpha, beta: beta, out: y, out_stride: weight.rows))
    if rows >= Self.manyRows {
      let block = max(Self.blockBytes / max(rowBytes, 1) / 12, 1) * 12
      parallel((rows + 11) / 12, grain: 2) { range in
        let last = min(range.upperBound * 12, rows)
        for first in stride(from: range.lowerBound * 12, to: last, by: block) {
          let count = min(block, last - first)
          work.pack(x + first * columns, rows: count, bytes: count * rowBytes) { arguments in
            arguments.out = y + first * weight.rows
            glen_packed_product(&arguments)
          }
        }
      }
    } else {
      // A thread is worth its while for a quarter of a megabyte of weights, as in float32, or as long a
      // computation.
      let cost = 16 * rowBytes * max(rows, 12) / 12
      work.pack(x, rows: rows, bytes: rows * rowBytes) { arguments in
        let arguments = arguments
        parallel(panels, grain: 1 + (1 << 18) / max(cost, 1)) { range in
          var part = arguments
          (part.first, part.last) = (range.lowerBound, range.upperBound)
          glen_packed_product(&part)
        }
      }
    }
  }

  /// out[i] = the row of the matrix that `rows` names.
  func packedGather(_ matrix: PackedMatrix, rows: Region, into out: Region, count: Int) {
    let (rows, to, width) = (rows.integers, out.floats, matrix.columns)
    parallel(count, grain: 1 + (1 << 16) / max(width, 1)) { range in
      glen_packed_gather(
        matrix.precision.type, range.count, width, matrix.values.address, matrix.scalePointer,
        rows + range.lowerBound, to + range.lowerBound * width)
    }
  }
}

/// A product without its activations.
private struct PackedWork {
  let arguments: glen_packed_product_arguments

  /// Rounds activations into memory of this call, and calls `body` with the product of all of them.
  func pack(
    _ x: UnsafePointer<Float>, rows: Int, bytes: Int,
    _ body: (inout glen_packed_product_arguments) -> Void
  ) {
    withUnsafeTemporaryAllocation(byteCount: bytes, alignment: 64) { packed in
      withUnsafeTemporaryAllocation(of: glen_packed_row.self, capacity: rows) { row in
        var product = arguments
        product.rows = rows
        product.activations = UnsafeRawPointer(packed.baseAddress)
        product.row = UnsafePointer(row.baseAddress)
        glen_pack_activations(
          product.type, product.kernels, rows, product.inputs, x, packed.baseAddress,
          row.baseAddress)
        body(&product)
      }
    }
  }
}

extension PackedMatrix {
  fileprivate var scalePointer: UnsafeMutablePointer<Float>? {
    scales?.address.assumingMemoryBound(to: Float.self)
  }
}
