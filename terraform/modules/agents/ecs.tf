# The compactor is a task of Fargate in any case; with launch = "fargate" the agents are as well.

resource "aws_ecs_cluster" "this" {
  name = var.name
  tags = var.tags
}

locals {
  tasks = merge(
    { compactor = { role = "compactor", command = "compact", cpu = var.compactor.cpu, memory = var.compactor.memory } },
    local.on_ec2 ? {} : { agents = { role = "broker", command = "agent", cpu = var.cpu, memory = var.memory } },
  )
}

resource "aws_ecs_task_definition" "this" {
  for_each = local.tasks

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.start.arn
  task_role_arn            = aws_iam_role.agent[each.value.role].arn
  tags                     = var.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  # Fargate keeps 20 GiB for a task without asking; the image needs a hundredth of that.
  dynamic "ephemeral_storage" {
    for_each = each.key == "agents" && var.wal_size_mib > 16 * 1024 ? [ceil(var.wal_size_mib / 1024) + 4] : []

    content {
      size_in_gib = ephemeral_storage.value
    }
  }

  volume {
    name = "data"
  }

  container_definitions = jsonencode([merge(
    {
      name                   = "odradek"
      image                  = var.image
      essential              = true
      command                = [each.value.command]
      stopTimeout            = local.stop_after
      readonlyRootFilesystem = true
      environment            = [for name in sort(keys(local.settings[each.value.role])) : { name = name, value = local.settings[each.value.role][name] }]
      secrets = var.redis.password_secret_arn == null ? [] : [
        { name = "ODRADEK_REDIS_PASSWORD", valueFrom = var.redis.password_secret_arn },
      ]
      mountPoints = [{ sourceVolume = "data", containerPath = local.data_dir, readOnly = false }]
      portMappings = [
        for port in each.key == "agents" ? [local.kafka_port, local.http_port] : [local.http_port] : { containerPort = port, hostPort = port, protocol = "tcp" }
      ]
      ulimits        = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]
      systemControls = []
      volumesFrom    = []
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.this.name
          awslogs-region        = data.aws_region.current.name
          awslogs-stream-prefix = each.key
          mode                  = "non-blocking" # a log that is away must not stop an agent
          max-buffer-size       = "25m"
        }
      }
    },
  )])
}

resource "aws_ecs_service" "this" {
  for_each = local.tasks

  name            = each.key
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.this[each.key].arn
  launch_type     = "FARGATE"
  desired_count   = each.key == "agents" ? var.agents.min : 1
  propagate_tags  = "SERVICE"
  tags            = var.tags

  availability_zone_rebalancing     = "ENABLED"
  health_check_grace_period_seconds = each.key == "agents" ? 600 : null

  # New agents first, then the old ones go: while they give their partitions away there is somebody to take them. Two
  # compactors for a moment do no harm, one does the other's work in vain at worst.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  # The compactor ends at once as long as no agent has made the cluster, and is started again until one has.
  deployment_circuit_breaker {
    enable   = each.key == "agents"
    rollback = each.key == "agents"
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.agents.id]
    assign_public_ip = var.assign_public_ip
  }

  dynamic "load_balancer" {
    for_each = each.key == "agents" ? [aws_lb_target_group.agents.arn] : []

    content {
      target_group_arn = load_balancer.value
      container_name   = "odradek"
      container_port   = local.kafka_port
    }
  }

  service_registries {
    registry_arn = aws_service_discovery_service.this[each.key].arn
  }

  lifecycle {
    ignore_changes = [desired_count] # the scaling policies' business
  }

  depends_on = [
    aws_lb_listener.kafka,
    aws_iam_role_policy.bucket,
    aws_iam_role_policy.start,
    aws_vpc_security_group_egress_rule.agents,
  ]
}
