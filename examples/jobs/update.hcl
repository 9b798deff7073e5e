# Ten of a service on different devices; a new version replaces two at a time, and no
# more than two leave drained devices at a time.
job "web" {
  group "web" {
    count = 10

    constraint {
      distinct_hosts = true
    }
    update {
      max_parallel = 2
    }
    migrate {
      max_parallel = 2
    }
    reschedule {
      delay          = "10s"
      delay_function = "fibonacci"
      max_delay      = "10m"
      unlimited      = true
    }

    task "web" {
      driver = "raw_exec"
      config {
        command = "/usr/bin/web"
      }
      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
