job "a" {
  group "g" {
    restart {}
    restart {}
    task "t" {
      meta = {}
      meta {}
      config {}
      config {}
    }
    constraint {
      attribute = "${attr.x}"
      regexp    = "a"
      operator  = "="
      value     = "b"
    }
    constraint {
      distinct_hosts = "yes"
    }
  }
}
