#include <nagl/nagl.h>

#include <iostream>

int main(int, char** argv) {
  auto backbone =
      std::make_shared<nagl::Backbone>(nagl::find_backbone(argv[1]), nagl::BackboneOptions());
  nagl::BankPictures references{{argv[2], argv[3]}, {}};
  nagl::Detector detector(backbone, nagl::make_bank(backbone, references, {}));
  nagl::Detection seen = detector.detect(nagl::read_image(argv[4]));
  nagl::write_map_png(argv[5], seen.map);
  std::cout << seen.image_score << "\n";
}
