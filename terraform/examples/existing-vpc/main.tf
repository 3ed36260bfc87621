# As basic, in a VPC that exists already, with one subnet per zone that leads to the internet by NAT or endpoints.

provider "aws" {
  region = var.region
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
  vpc_id                   = var.vpc_id
  subnet_ids               = var.subnet_ids
  agents_security_group_id = module.agents.security_group_id
  alarm_actions            = var.alarm_actions
}

module "agents" {
  source = "../../modules/agents"

  name                = var.name
  image               = var.image
  vpc_id              = var.vpc_id
  subnet_ids          = var.subnet_ids
  client_cidr_blocks  = var.client_cidr_blocks
  metrics_cidr_blocks = var.client_cidr_blocks
  bucket              = module.bucket.bucket
  redis               = module.redis.redis
  agents              = var.agents
  alarm_actions       = var.alarm_actions
}

# Records reach the bucket by this way, which costs nothing. Without route tables named the VPC has it already.
resource "aws_vpc_endpoint" "s3" {
  count = length(var.s3_route_table_ids) == 0 ? 0 : 1

  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${var.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.s3_route_table_ids
}
