# dunlin node pool apply shops.hcl
node_pool "shops" {
  description = "one device in each shop"
  meta = {
    owner = "retail"
  }
  scheduler_config {
    scheduler_algorithm = "spread"
  }
}
