job "x" {
  type        = var.missing
  name        = foo.bar
  region      = "${nothing}"
  node_pool   = uper("x")
  datacenters = [file("/etc/passwd")]
  meta = {
    a = format("%9999d", 1)
    b = base64decode("%%")
  }
}
