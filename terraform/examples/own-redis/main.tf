# As basic, with a Redis that exists already: Valkey or Redis 7 and later, maxmemory-policy noeviction, reachable from the VPC.

provider "aws" {
  region = var.region
}

module "network" {
  source = "../../modules/network"

  name  = var.name
  zones = var.zones
}

module "bucket" {
  source = "../../modules/bucket"

  name                = var.bucket
  compactor_role_arns = [module.agents.role_arns["compactor"]]
  admin_role_arns     = var.admin_role_arns
}

module "agents" {
  source = "../../modules/agents"

  name                = var.name
  image               = var.image
  vpc_id              = module.network.vpc_id
  subnet_ids          = module.network.subnet_ids
  assign_public_ip    = module.network.assign_public_ip
  client_cidr_blocks  = [module.network.cidr]
  metrics_cidr_blocks = [module.network.cidr]
  bucket              = module.bucket.bucket
  redis               = { url = var.redis_url, password_secret_arn = var.redis_password_secret_arn }
  agents              = var.agents
  alarm_actions       = var.alarm_actions
}
