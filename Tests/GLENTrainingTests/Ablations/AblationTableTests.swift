import Foundation
import Testing

@testable import GLENTraining

@Suite("Ablation tables") struct AblationTableTests {
  /// Student's t as tables print it.
  @Test(arguments: [
    (1, 12.70620), (2, 4.30265), (3, 3.18245), (4, 2.77645), (5, 2.57058), (9, 2.26216),
    (10, 2.22814), (30, 2.04227), (99, 1.98422), (1000, 1.96234),
  ])
  func theQuantilesAreStudents(degreesOfFreedom: Int, expected: Double) {
    let t = MeanEstimate.quantile(coverage: 0.95, degreesOfFreedom: degreesOfFreedom)
    #expect(abs(t - expected) < 1e-5)
  }

  @Test func intervalsAreOfTheMean() throws {
    let three = MeanEstimate([0.1, 0.2, 0.3])
    #expect(abs(three.mean - 0.2) < 1e-15)
    // t = 4.30265, the standard deviation 0.1, of the mean 0.1 / √3.
    #expect(abs(try #require(three.halfWidth) - 0.248414) < 1e-6)
    #expect(MeanEstimate([0.5]).halfWidth == nil && MeanEstimate([0.5]).mean == 0.5)
    #expect(MeanEstimate([0.5, 0.5]).halfWidth == 0)
    #expect(MeanEstimate([]).mean == 0)
  }

  private static func table(seeds: Int) -> AblationTable {
    func cell(_ metric: String, _ values: [Double]) -> AblationTable.Cell {
      AblationTable.Cell(
        split: "test", metric: metric, estimate: MeanEstimate(Array(values.prefix(seeds))))
    }
    return AblationTable(
      seeds: Array(1...UInt64(seeds)),
      rows: [
        AblationTable.Row(
          ablation: .full, cells: [cell("R@1", [0.5, 0.6, 0.7]), cell("R@10", [1, 1, 1])]),
        AblationTable.Row(
          ablation: .noKeywords, cells: [cell("R@1", [0, 0, 0]), cell("R@10", [0.1, 0.2, 0.3])]),
      ])
  }

  @Test func textAndMarkdownSayTheSame() {
    let note = """
      Means over the seeds 1, 2, 3; ± is half the width of the 95 % confidence interval (Student's \
      t, 2 degrees of freedom).
      """
    #expect(
      Self.table(seeds: 3).text == """
        ablation        test R@1    test R@10
        full         60.0 ± 24.8  100.0 ± 0.0
        no-keywords    0.0 ± 0.0  20.0 ± 24.8

        \(note)

        """)
    #expect(
      Self.table(seeds: 3).markdown == """
        | ablation | test R@1 | test R@10 |
        | --- | ---: | ---: |
        | full | 60.0 ± 24.8 | 100.0 ± 0.0 |
        | no-keywords | 0.0 ± 0.0 | 20.0 ± 24.8 |

        \(note)

        """)
    #expect(
      Self.table(seeds: 1).text == """
        ablation     test R@1  test R@10
        full             50.0      100.0
        no-keywords       0.0       10.0

        One run with the seed 1: there is no interval.

        """)
  }

  @Test func rowsThatAreTheWholesAreNamed() {
    var table = Self.table(seeds: 3)
    #expect(!table.text.contains("The same"))
    table.rows.append(AblationTable.Row(ablation: .noAnnealing, cells: table.rows[0].cells))
    for text in [table.text, table.markdown] {
      #expect(text.contains("\nThe same to the last digit as full: no-annealing. What the switch"))
    }
  }

  @Test func theJSONHasEverySeed() throws {
    let table = Self.table(seeds: 3)
    let back = try JSONDecoder().decode(AblationTable.self, from: table.jsonData())
    #expect(back == table)
    #expect(back.rows[0].cells[0].estimate.values == [0.5, 0.6, 0.7])
  }

  /// Each ablation changes the recipe in one place; two leave it as it is.
  @Test func recipesDifferInWhatTheyName() throws {
    for base in [Recipe.paper, .small] {
      var seen: [Recipe] = []
      for ablation in Ablation.allCases {
        let recipe = ablation.recipe(from: base)
        try recipe.validate()
        let isUnchanged = ablation == .full || ablation == .shuffledCollisions
        #expect((recipe == base) == isUnchanged)
        if !isUnchanged {
          #expect(!seen.contains(recipe))
          seen.append(recipe)
        }
      }
    }
  }
}
