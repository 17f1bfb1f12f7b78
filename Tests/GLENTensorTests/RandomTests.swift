import CGLENKernels
import GLENTestSupport
import Testing

@testable import GLENTensor

@Suite("Random numbers")
struct RandomTests {
  /// The known answers for philox4x32-10 that Random123 publishes (kat_vectors).
  static let known: [(counter: [UInt32], key: [UInt32], answer: [UInt32])] = [
    ([0, 0, 0, 0], [0, 0], [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]),
    (
      [.max, .max, .max, .max], [.max, .max], [0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD]
    ),
    (
      [0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344], [0xA409_3822, 0x299F_31D0],
      [0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1]
    ),
  ]

  @Test(arguments: known)
  func philoxGivesTheKnownAnswers(counter: [UInt32], key: [UInt32], answer: [UInt32]) {
    var out: [UInt32] = [0, 0, 0, 0]
    glen_philox(counter, key, &out)
    #expect(out == answer)
    #expect(Reference.philox(counter: counter, key: key) == answer)
  }

  @Test(arguments: [0.1, 0.5, 0.9] as [Float])
  func dropoutDropsAtItsRate(rate: Float) throws {
    let count = 1_000_000
    let x = try Tensor(repeating: 1, shape: [count])
    for stream in 0..<3 as Range<UInt64> {
      let y = try dropout(x, DropoutMask(rate: rate, key: RandomKey(seed: 9, stream: stream)))
        .values()
      let dropped = Double(y.count { $0 == 0 }) / Double(count)
      // Five standard deviations.
      let deviation = (Double(rate) * (1 - Double(rate)) / Double(count)).squareRoot()
      #expect(abs(dropped - Double(rate)) < 5 * deviation)
      let kept = 1 / (1 - rate)
      #expect(y.allSatisfy { $0 == 0 || abs($0 - kept) < 1e-6 * kept })
    }
  }

  /// Any part of the range gives what the whole gives there.
  @Test func dropoutDependsOnTheElementAlone() {
    let count = 1000
    let x = [Float](repeating: 1, count: count)
    var whole = x
    glen_dropout(0, count, 5, 6, 0.5, x, &whole, 0)
    for (first, length) in [(0, 1), (1, 1), (3, 62), (61, 70), (64, 128), (5, 995), (999, 1)] {
      var part = [Float](repeating: .nan, count: length)
      glen_dropout(first, length, 5, 6, 0.5, x, &part, 0)
      #expect(part == Array(whole[first..<first + length]))
    }
    var inPlace = x
    inPlace.withUnsafeMutableBufferPointer {
      glen_dropout(0, count, 5, 6, 0.5, $0.baseAddress, $0.baseAddress, 0)
    }
    #expect(inPlace == whole)
  }

  @Test func keysGiveOtherMasks() throws {
    let x = try Tensor(repeating: 1, shape: [1000])
    let key = RandomKey(seed: 1)
    let masks = try [key, key.split(0), key.split(1), RandomKey(seed: 2), key.split(0).split(0)].map
    {
      try dropout(x, DropoutMask(rate: 0.5, key: $0)).values()
    }
    #expect(Set(masks).count == masks.count)
    #expect(try dropout(x, DropoutMask(rate: 0.5, key: key)).values() == masks[0])
  }

  @Test func keysSplitAsTheyAlwaysDid() {
    #expect(RandomKey(seed: 42).split(0).stream == 0xE220_A839_7B1D_CDAF)
    #expect(RandomKey(seed: 42).split(1).stream == 0x6E78_9E6A_A1B9_65F4)
    #expect(RandomKey(seed: 42, stream: 5).split(-3).stream == 0x6234_F195_7B4B_B122)
    #expect(RandomKey(seed: 42).split(3).seed == 42)
  }

  @Test func generatorsGiveWhatTheyAlwaysGave() {
    var generator = SeededGenerator(RandomKey(seed: 42))
    #expect(generator.next() == 0x33D0_1EBC_FA94_E3B9)
    #expect(generator.next() == 0xD2F4_566F_FBDD_279A)
    #expect(generator.next() == 0x44F9_CC4B_F053_C6C7)
    var other = SeededGenerator(RandomKey(seed: 0, stream: 7))
    #expect(other.next() == 0xD4B3_E93E_C876_3914)
    #expect(other.next() == 0x5986_2272_4A03_8B8F)
  }
}
