job "a" {
  group {
  }
  group "a" "b" {}
  group "c" {
    task {}
    restart "x" {}
  }
}
