job "x" {
  constraint {
    attribute         = "${attr.a}"
    distinct_property = "b"
    semver            = "1"
    is_set            = true
  }
  dynamic "group" {}
}
