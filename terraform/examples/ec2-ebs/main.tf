# As basic, with agents on instances of an Auto Scaling group, each with a volume of EBS under its WAL: acks=1 outlasts a
# machine that crashes.

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

module "redis" {
  source = "../../modules/redis"

  name                     = var.name
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.subnet_ids
  agents_security_group_id = module.agents.security_group_id
  alarm_actions            = var.alarm_actions
}

module "agents" {
  source = "../../modules/agents"

  name                = var.name
  launch              = "ec2"
  instance_type       = var.instance_type
  wal_volume          = var.wal_volume
  wal_size_mib        = 8192
  image               = var.image
  vpc_id              = module.network.vpc_id
  subnet_ids          = module.network.subnet_ids
  assign_public_ip    = module.network.assign_public_ip
  client_cidr_blocks  = [module.network.cidr]
  metrics_cidr_blocks = [module.network.cidr]
  bucket              = module.bucket.bucket
  redis               = module.redis.redis
  agents              = var.agents
  alarm_actions       = var.alarm_actions
}
