# A VPC with one subnet per zone for the agents. The bucket is reached through a gateway endpoint, which costs nothing
# and keeps records off the NAT gateways, whose bill is by the byte.

locals {
  zones = { for i, zone in var.zones : zone => i }

  # Where the NAT gateways stand: their subnets are public, those of the agents are not.
  nat_zones = {
    none     = {}
    one      = { (var.zones[0]) = 0 }
    per_zone = local.zones
  }[var.nat]
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(var.tags, { Name = var.name })
}

resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-default-closed" })
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = var.name })
}

resource "aws_subnet" "agents" {
  for_each = local.zones

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 4, each.value)
  tags              = merge(var.tags, { Name = "${var.name}-agents-${each.key}" })
}

resource "aws_route_table" "agents" {
  for_each = local.zones

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-agents-${each.key}" })
}

resource "aws_route_table_association" "agents" {
  for_each = local.zones

  subnet_id      = aws_subnet.agents[each.key].id
  route_table_id = aws_route_table.agents[each.key].id
}

resource "aws_route" "agents_direct" {
  for_each = var.nat == "none" ? local.zones : {}

  route_table_id         = aws_route_table.agents[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route" "agents_nat" {
  for_each = var.nat == "none" ? {} : local.zones

  route_table_id         = aws_route_table.agents[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[var.nat == "one" ? var.zones[0] : each.key].id
}

resource "aws_subnet" "nat" {
  for_each = local.nat_zones

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 8, 240 + each.value)
  tags              = merge(var.tags, { Name = "${var.name}-nat-${each.key}" })
}

resource "aws_route_table" "nat" {
  count = var.nat == "none" ? 0 : 1

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-nat" })
}

resource "aws_route" "nat" {
  count = var.nat == "none" ? 0 : 1

  route_table_id         = aws_route_table.nat[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "nat" {
  for_each = local.nat_zones

  subnet_id      = aws_subnet.nat[each.key].id
  route_table_id = aws_route_table.nat[0].id
}

resource "aws_eip" "nat" {
  for_each = local.nat_zones

  domain = "vpc"
  tags   = merge(var.tags, { Name = "${var.name}-nat-${each.key}" })
}

resource "aws_nat_gateway" "this" {
  for_each = local.nat_zones

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.nat[each.key].id
  tags          = merge(var.tags, { Name = "${var.name}-${each.key}" })

  depends_on = [aws_internet_gateway.this]
}

data "aws_region" "current" {}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.current.name}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for zone in var.zones : aws_route_table.agents[zone].id]
  tags              = merge(var.tags, { Name = "${var.name}-s3" })
}
