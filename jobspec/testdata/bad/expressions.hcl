locals {
  a = local.b
  b = local.a
  c = local.nope
  d = 1
}
job "x" {}
