# Where work goes: a pool, a rule, a preference, and shares of sites.
job "kiosk" {
  datacenters = ["*"]
  node_pool   = "default" # see ../pools/shops.hcl

  constraint { # not at all where it does not hold
    attribute = "${attr.memory.totalbytes}"
    operator  = ">="
    value     = "256MiB"
  }
  affinity { # rather there; a negative weight: rather not
    attribute = "${attr.power.source}"
    value     = "mains"
    weight    = 50
  }
  spread { # 70 of 100 in berlin, the rest evenly over the other sites
    attribute = "${node.datacenter}"
    target "berlin" {
      percent = 70
    }
  }

  group "kiosk" {
    count = 10
    constraint { # at most two on one device
      distinct_property = "${node.unique.name}"
      value             = 2
    }
    task "main" {
      driver = "raw_exec"
      config {
        command = "/bin/sleep"
        args    = ["1h"]
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
