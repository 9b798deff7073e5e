locals {
  l = split("", "01234567890123456789012345678901234567890123456789012345678901234567890123456789")
}
job "x" {
  datacenters = flatten([for a in local.l : [for b in local.l : [for c in local.l : [for d in local.l : [for e in local.l : a]]]]])
}
