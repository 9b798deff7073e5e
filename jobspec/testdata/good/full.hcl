variable "dc" {
  type        = list(string)
  default     = ["berlin", "paris"]
  description = "where"
}

variable "count" {
  default = 3
}

locals {
  image = "${local.name}:1.2"
  name  = "shop"
}

job "shop" {
  id          = "shop-eu"
  type        = "batch"
  priority    = 70
  datacenters = var.dc
  node_pool   = "default"
  region      = "global"
  namespace   = "default"

  constraint {
    attribute = "${attr.cpu.arch}"
    value     = "arm64"
  }
  constraint {
    attribute = attr.kernel.version
    version   = ">= 5.10"
  }
  constraint {
    distinct_hosts = true
  }
  constraint {
    attribute = "${meta.slots}"
    operator  = ">="
    value     = 4
  }
  meta = {
    owner   = upper("ops")
    retries = 5
    eager   = true
  }
  update {
    max_parallel     = 2
    min_healthy_time = "10s"
  }
  periodic {
    crons            = ["0 3 * * *"]
    prohibit_overlap = true
  }

  group "web" {
    count = var.count
    restart {
      attempts = 1
      interval = "1h"
      delay    = "1m30s"
      mode     = "delay"
    }
    disconnect {
      lost_after           = "6h"
      stop_on_client_after = "1h"
      replace              = false
      reconcile            = "keep_original"
    }
    reschedule {
      attempts       = 2
      interval       = "24h"
      delay          = "5s"
      delay_function = "fibonacci"
      max_delay      = "1h"
      unlimited      = false
    }
    ephemeral_disk {
      size    = 300
      sticky  = false
      migrate = false
    }
    service {
      name = "web"
      port = "http"
      check {
        type     = "tcp"
        interval = "10s"
      }
    }
    volume "data" {
      type      = "host"
      source    = "data"
      read_only = true
    }

    task "server" {
      driver = "raw_exec"
      config {
        command = "/bin/${local.image}"
        args    = [for s in ["a", "b"] : "-${s}"]
        mount {
          target = "/x"
        }
        limit "files" {
          soft = 1
        }
      }
      volume_mount {
        volume      = "data"
        destination = "/data"
      }
      env = {
        DIR  = "${NOMAD_ALLOC_DIR}/data"
        HOST = "$${literal} ${attr.unique.hostname} ${attr.unique}"
        HOME = env["HOME"]
        JSON = jsonencode({ a = [1, 2.5, null] })
      }
      resources {
        cpu        = 500
        memory     = 256
        memory_max = 512
      }
      logs {
        max_files     = 3
        max_file_size = 5
        disabled      = false
      }
      kill_timeout = "20s"
      kill_signal  = "SIGINT"
      user         = "nobody"
    }
  }
}
