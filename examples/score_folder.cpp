// Scores the pictures of a folder against good ones, and prints the hottest place of each.
//
//   score_folder GOOD_FOLDER NEW_FOLDER

#include <nagl/dataset/pictures.h>
#include <nagl/nagl.h>

#include <iostream>
#include <opencv2/core.hpp>

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::cerr << "usage: score_folder GOOD_FOLDER NEW_FOLDER\n";
    return 2;
  }
  const auto backbone =
      std::make_shared<const nagl::Backbone>(nagl::find_backbone({}), nagl::BackboneOptions());
  nagl::BankPictures references;
  for (const auto& file : nagl::list_pictures(argv[1])) references.normal.push_back(file.path);

  // `nagl::load_bank` takes the place of `make_bank` where `nagl enroll` wrote a file.
  const nagl::Detector detector(backbone, nagl::make_bank(backbone, references, {}));
  for (const auto& file : nagl::list_pictures(argv[2])) {
    const nagl::Detection seen = detector.detect(nagl::read_image(file.path));
    cv::Point hottest;
    cv::minMaxLoc(seen.map, nullptr, nullptr, nullptr, &hottest);
    std::cout << file.path.string() << "  " << seen.image_score << "  hottest at " << hottest.x
              << ", " << hottest.y << "\n";
  }
} catch (const nagl::Error& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
