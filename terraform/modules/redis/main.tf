# Redis as Odradek wants it: one master with replicas in other zones, TLS, no evictions, and a user that may do what
# Odradek does and nothing else. What is in it may be lost at any moment, so there are no backups.

locals {
  port = 6379
  user = "odradek"

  # All keys of a cluster begin with its name in braces; the doorbell is the one channel. The commands are those that
  # agents send and those that their scripts call. A test compares this list with what a real server was asked.
  access = join(" ", concat(
    ["on", "resetchannels", "~{${var.cluster}}:*", "&{${var.cluster}}:bell", "-@all"],
    [for command in local.commands : "+${command}"],
  ))

  commands = [
    "evalsha", "get", "hdel", "hexists", "hget", "hgetall", "hincrby", "hmget", "hset", "hsetnx", "info", "llen", "lrange",
    "ltrim", "ping", "publish", "rpush", "sadd", "script|load", "set", "smembers", "spop", "srem", "subscribe", "time",
    "unlink",
  ]
}

data "aws_secretsmanager_random_password" "drawn" {
  password_length     = 48
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "password" {
  name_prefix             = "${var.name}-redis-"
  description             = "Password of the user ${local.user} in the Redis of ${var.name}"
  kms_key_id              = var.kms_key_arn
  recovery_window_in_days = 7
  tags                    = var.tags
}

# Drawn once: a later plan draws another one and does not use it. To change the password, taint this.
resource "aws_secretsmanager_secret_version" "password" {
  secret_id     = aws_secretsmanager_secret.password.id
  secret_string = data.aws_secretsmanager_random_password.drawn.random_password

  lifecycle {
    ignore_changes = [secret_string]
  }
}

resource "aws_elasticache_user" "odradek" {
  user_id       = "${var.name}-${local.user}"
  user_name     = local.user
  engine        = "valkey"
  access_string = local.access
  tags          = var.tags

  authentication_mode {
    type      = "password"
    passwords = [aws_secretsmanager_secret_version.password.secret_string]
  }
}

# Who gives no name is "default", who may do everything unless it is replaced: by one that may not even log in.
resource "aws_elasticache_user" "default" {
  user_id       = "${var.name}-default"
  user_name     = "default"
  engine        = "valkey"
  access_string = "off -@all"
  tags          = var.tags

  authentication_mode {
    type      = "password"
    passwords = [aws_secretsmanager_secret_version.password.secret_string]
  }
}

resource "aws_elasticache_user_group" "this" {
  user_group_id = var.name
  engine        = "valkey"
  user_ids      = [aws_elasticache_user.default.user_id, aws_elasticache_user.odradek.user_id]
  tags          = var.tags
}

resource "aws_security_group" "redis" {
  name_prefix = "${var.name}-redis-"
  description = "Redis of ${var.name}: agents only"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-redis" })

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "agents" {
  security_group_id            = aws_security_group.redis.id
  description                  = "agents"
  referenced_security_group_id = var.agents_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_elasticache_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
  tags       = var.tags
}

resource "aws_elasticache_parameter_group" "this" {
  name   = "${var.name}-valkey8"
  family = "valkey8"
  tags   = var.tags

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "aws_elasticache_replication_group" "this" {
  replication_group_id = var.name
  description          = "Index and doorbell of ${var.name}"
  engine               = "valkey"
  engine_version       = "8.0"
  node_type            = var.node_type
  port                 = local.port
  parameter_group_name = aws_elasticache_parameter_group.this.name
  subnet_group_name    = aws_elasticache_subnet_group.this.name
  security_group_ids   = [aws_security_group.redis.id]
  user_group_ids       = [aws_elasticache_user_group.this.user_group_id]
  tags                 = var.tags

  # One shard, cluster mode off: agents talk to the master by one address, which a failover moves.
  num_node_groups            = 1
  replicas_per_node_group    = var.replicas
  automatic_failover_enabled = true
  multi_az_enabled           = true

  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  at_rest_encryption_enabled = true

  snapshot_retention_limit   = 0
  auto_minor_version_upgrade = true
  apply_immediately          = true
}

resource "aws_cloudwatch_metric_alarm" "redis" {
  for_each = {
    memory = {
      metric    = "DatabaseMemoryUsagePercentage", statistic = "Maximum", above = 75
      says      = "The Redis of ${var.name} is three quarters full. When it is full it refuses writes, agents go on without it, and only owners are read from: take a larger node_type."
      namespace = "AWS/ElastiCache"
    }
    cpu = {
      metric    = "EngineCPUUtilization", statistic = "Average", above = 80
      says      = "The Redis of ${var.name} is busy: scripts wait, consumers see new records late. Take a larger node_type."
      namespace = "AWS/ElastiCache"
    }
    evictions = {
      metric    = "Evictions", statistic = "Sum", above = 0
      says      = "The Redis of ${var.name} evicts keys, which maxmemory-policy noeviction forbids: someone changed its parameters."
      namespace = "AWS/ElastiCache"
    }
  }

  alarm_name          = "${var.name}-redis-${each.key}"
  alarm_description   = each.value.says
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  statistic           = each.value.statistic
  dimensions          = { ReplicationGroupId = aws_elasticache_replication_group.this.id }
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.above
  period              = 60
  evaluation_periods  = 5
  treat_missing_data  = "missing"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = var.tags
}
