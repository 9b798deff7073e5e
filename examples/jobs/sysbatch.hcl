# Once on each arm64 device, to completion. A new version runs everywhere again.
job "clean-up" {
  type = "sysbatch"

  constraint {
    attribute = "${attr.cpu.arch}"
    value     = "arm64"
  }

  group "clean-up" {
    task "clean-up" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "find /tmp -type f -mtime +30 -delete"]
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
