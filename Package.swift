// swift-tools-version: 6.1
import PackageDescription

let settings: [SwiftSetting] = [
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
  name: "GLEN",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "GLENTensor", targets: ["GLENTensor"]),
    .library(name: "GLENModel", targets: ["GLENModel"]),
    .library(name: "GLENText", targets: ["GLENText"]),
    .library(name: "GLENIndex", targets: ["GLENIndex"]),
    .library(name: "GLENTraining", targets: ["GLENTraining"]),
    .library(name: "GLENStarter", targets: ["GLENStarter"]),
    .library(name: "GLENCUDA", targets: ["GLENCUDA"]),
    .executable(name: "glen", targets: ["glen"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.6.0"),
  ],
  targets: [
    // System libraries, found by pkg-config.
    .systemLibrary(
      name: "CGLENBLAS", pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),
    .systemLibrary(
      name: "CGLENZlib", pkgConfig: "zlib",
      providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .systemLibrary(
      name: "CGLENSentencePieceSystem", pkgConfig: "sentencepiece",
      providers: [.apt(["libsentencepiece-dev"]), .brew(["sentencepiece"])]),

    // C and C++.
    .target(name: "CGLENCUDA", exclude: ["Kernels"]),
    .target(name: "CGLENKernels"),
    .target(name: "CGLENStarter", exclude: ["Model"]),
    .target(name: "CGLENSentencePiece", dependencies: ["CGLENSentencePieceSystem"]),

    // Foundation without its tables of languages, and the C library; not a product.
    .target(name: "GLENPlatform", swiftSettings: settings),

    // The library.
    .target(
      name: "GLENTensor", dependencies: ["CGLENBLAS", "CGLENKernels", "GLENPlatform"],
      swiftSettings: settings),
    .target(
      name: "GLENCUDA", dependencies: ["CGLENCUDA", "GLENPlatform", "GLENTensor"],
      swiftSettings: settings),
    .target(
      name: "GLENModel", dependencies: ["GLENPlatform", "GLENTensor"], swiftSettings: settings),
    .target(
      name: "GLENText", dependencies: ["CGLENSentencePiece", "GLENPlatform"],
      swiftSettings: settings),
    .target(
      name: "GLENIndex",
      dependencies: ["CGLENKernels", "GLENModel", "GLENPlatform", "GLENTensor", "GLENText"],
      swiftSettings: settings),
    .target(
      name: "GLENTraining",
      dependencies: [
        "CGLENZlib", "GLENIndex", "GLENModel", "GLENPlatform", "GLENTensor", "GLENText",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings),

    .target(
      name: "GLENStarter",
      dependencies: [
        "CGLENStarter", "GLENModel", "GLENPlatform", "GLENTensor", "GLENText", "GLENTraining",
      ],
      swiftSettings: settings),

    // What the tests of several backends and `glen selftest` share; not a product.
    .target(
      name: "GLENTestSupport", dependencies: ["GLENPlatform", "GLENTensor"], swiftSettings: settings
    ),

    // The command line.
    .executableTarget(
      name: "glen",
      dependencies: [
        "CGLENBLAS", "GLENCUDA", "GLENIndex", "GLENModel", "GLENPlatform", "GLENStarter",
        "GLENTensor",
        "GLENTestSupport", "GLENText", "GLENTraining",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings),

    // Examples.
    .executableTarget(
      name: "glen-demo",
      dependencies: [
        "GLENIndex", "GLENModel", "GLENStarter", "GLENTensor", "GLENText", "GLENTraining",
      ],
      path: "Examples/Demo", swiftSettings: settings),
    .executableTarget(
      name: "search-index", dependencies: ["GLENIndex"], path: "Examples/SearchIndex",
      swiftSettings: settings),
    .executableTarget(
      name: "index-texts", dependencies: ["GLENIndex"], path: "Examples/IndexTexts",
      swiftSettings: settings),
    .executableTarget(
      name: "add-and-remove", dependencies: ["GLENIndex"], path: "Examples/AddAndRemove",
      swiftSettings: settings),
    .executableTarget(
      name: "filter-by-metadata", dependencies: ["GLENIndex"], path: "Examples/FilterByMetadata",
      swiftSettings: settings),
    .executableTarget(
      name: "ask-in-terminal", dependencies: ["GLENIndex"], path: "Examples/AskInTerminal",
      swiftSettings: settings),

    // Benchmarks; not products either.
    .executableTarget(
      name: "search-benchmark", dependencies: ["GLENIndex"], path: "Benchmarks/search",
      exclude: ["peers.py", "plain_scan.c", "requirements.txt", "run"], swiftSettings: settings),

    // Tests.
    .testTarget(
      name: "GLENPlatformTests", dependencies: ["GLENPlatform"], swiftSettings: settings),
    .testTarget(
      name: "GLENTensorTests", dependencies: ["CGLENKernels", "GLENTensor", "GLENTestSupport"],
      resources: [.copy("Fixtures")],
      swiftSettings: settings),
    .testTarget(
      name: "GLENModelTests", dependencies: ["GLENModel"], resources: [.copy("Fixtures")],
      swiftSettings: settings),
    // CUDA's kernels as C++, on stand-ins for its libraries.
    .target(
      name: "CGLENCUDAHost", dependencies: ["CGLENCUDA"], path: "Tests/CGLENCUDAHost",
      cxxSettings: [.headerSearchPath(".")]),
    .testTarget(
      name: "GLENCUDATests",
      dependencies: [
        "CGLENCUDA", "CGLENCUDAHost", "GLENCUDA", "GLENIndex", "GLENModel", "GLENTensor",
        "GLENTestSupport", "GLENTraining",
      ],
      swiftSettings: settings),
    .testTarget(name: "GLENTextTests", dependencies: ["GLENText"], swiftSettings: settings),
    .testTarget(name: "GLENIndexTests", dependencies: ["GLENIndex"], swiftSettings: settings),
    .testTarget(
      name: "GLENTrainingTests", dependencies: ["GLENStarter", "GLENTraining"],
      resources: [.copy("Fixtures")],
      swiftSettings: settings),
    .testTarget(
      name: "GLENCommandTests",
      dependencies: [
        "GLENIndex", "add-and-remove", "ask-in-terminal", "filter-by-metadata", "glen",
        "index-texts", "search-index",
      ],
      swiftSettings: settings),
  ],
  cLanguageStandard: .gnu2x, cxxLanguageStandard: .cxx17
)
