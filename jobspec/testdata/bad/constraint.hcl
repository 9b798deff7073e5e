job "x" {
  constraint {
    attribute         = "${attr.a}"
    distinct_property = "b"
  }
  affinity {
    regexp         = "b"
    semver         = "1"
    distinct_value = true
    weight         = "much"
  }
  spread "rack" {
    attribute = "${meta.rack}"
  }
  spread {
    target {
      percent = 1.5
    }
  }
  constraint {
    is_set            = true
  }
  dynamic "group" {}
}
