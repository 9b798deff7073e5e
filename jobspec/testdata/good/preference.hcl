job "spread" {
  node_pool = "shops"

  constraint {
    attribute        = "${attr.os.name}"
    set_contains_any = "debian,alpine"
  }
  constraint {
    distinct_property = "${meta.rack}"
    value             = 3
  }
  affinity {
    attribute = "${attr.power.source}"
    value     = "mains"
    weight    = 80
  }
  spread {
    attribute = "${node.datacenter}"
    weight    = 100
    target "berlin" { percent = 70 }
    target "*" { percent = 30 }
  }

  group "web" {
    affinity {
      attribute = "${attr.os.version}"
      semver    = ">= 12.0.0"
      weight    = -20
    }
    spread {
      attribute = "${meta.rack}"
    }
    task "main" {
      driver = "raw_exec"
      config { command = "/bin/true" }
      affinity {
        attribute = "${attr.memory.bytes}"
        operator  = ">"
        value     = "2GiB"
      }
    }
  }
}
