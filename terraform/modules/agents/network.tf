# Who reaches whom: clients the agents' Kafka port, by the load balancer once and directly from then on; the load
# balancer and who gathers metrics the HTTP port; agents the bucket, Redis and the services of AWS.

resource "aws_security_group" "agents" {
  name_prefix = "${var.name}-agents-"
  description = "Agents of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-agents" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_security_group" "balancer" {
  name_prefix = "${var.name}-bootstrap-"
  description = "Bootstrap address of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-bootstrap" })

  lifecycle {
    create_before_destroy = true
  }
}

locals {
  clients = merge(
    { for i, cidr in var.client_cidr_blocks : "cidr-${i}" => { cidr = cidr, group = null } },
    { for i, group in var.client_security_group_ids : "group-${i}" => { cidr = null, group = group } },
  )
}

resource "aws_vpc_security_group_ingress_rule" "bootstrap" {
  for_each = local.clients

  security_group_id            = aws_security_group.balancer.id
  description                  = "Kafka clients"
  cidr_ipv4                    = each.value.cidr
  referenced_security_group_id = each.value.group
  ip_protocol                  = "tcp"
  from_port                    = local.kafka_port
  to_port                      = local.kafka_port
}

resource "aws_vpc_security_group_egress_rule" "bootstrap" {
  for_each = { kafka = local.kafka_port, health = local.http_port }

  security_group_id            = aws_security_group.balancer.id
  description                  = "Agents, ${each.key}"
  referenced_security_group_id = aws_security_group.agents.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_ingress_rule" "agents" {
  for_each = local.clients

  security_group_id            = aws_security_group.agents.id
  description                  = "Kafka clients"
  cidr_ipv4                    = each.value.cidr
  referenced_security_group_id = each.value.group
  ip_protocol                  = "tcp"
  from_port                    = local.kafka_port
  to_port                      = local.kafka_port
}

resource "aws_vpc_security_group_ingress_rule" "from_balancer" {
  for_each = { kafka = local.kafka_port, health = local.http_port }

  security_group_id            = aws_security_group.agents.id
  description                  = "Load balancer, ${each.key}"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = each.value
  to_port                      = each.value
}

resource "aws_vpc_security_group_ingress_rule" "metrics" {
  for_each = toset(var.metrics_cidr_blocks)

  security_group_id = aws_security_group.agents.id
  description       = "Metrics and health"
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.http_port
  to_port           = local.http_port
}

# Records travel to the bucket by TLS, to Redis by its own port, and to AWS' services; which addresses those have is
# not known here.
resource "aws_vpc_security_group_egress_rule" "agents" {
  security_group_id = aws_security_group.agents.id
  description       = "Bucket, Redis, logs, images, secrets"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_lb" "bootstrap" {
  name                             = var.name
  internal                         = true
  load_balancer_type               = "network"
  subnets                          = var.subnet_ids
  security_groups                  = [aws_security_group.balancer.id]
  enable_cross_zone_load_balancing = true
  tags                             = var.tags
}

resource "aws_lb_target_group" "agents" {
  name                   = "${var.name}-agents"
  vpc_id                 = var.vpc_id
  protocol               = "TCP"
  port                   = local.kafka_port
  target_type            = local.on_ec2 ? "instance" : "ip"
  deregistration_delay   = 30
  connection_termination = true
  tags                   = var.tags

  # Ready is an agent that serves clients; one that waits for its bucket says so and gets none.
  health_check {
    protocol            = "HTTP"
    port                = local.http_port
    path                = "/readyz"
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "kafka" {
  load_balancer_arn = aws_lb.bootstrap.arn
  protocol          = "TCP"
  port              = local.kafka_port
  tags              = var.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.agents.arn
  }
}

# Names that resolve to every task, for whoever gathers metrics.
resource "aws_service_discovery_private_dns_namespace" "this" {
  name        = "${var.name}.internal"
  description = "Agents of ${var.name}"
  vpc         = var.vpc_id
  tags        = var.tags
}

resource "aws_service_discovery_service" "this" {
  for_each = toset(local.on_ec2 ? ["compactor"] : ["agents", "compactor"])

  name = each.key
  tags = var.tags

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 15
    }
  }
}
