# Out fast, in slowly: an agent more costs little, and each change of the pool moves partitions. Two aims, of which the
# one that wants more agents wins. Bytes in are what clients sent to an agent in a second, on average over the agents.

resource "aws_appautoscaling_target" "agents" {
  count = local.on_ec2 ? 0 : 1

  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.this["agents"].name}"
  min_capacity       = var.agents.min
  max_capacity       = var.agents.max
  tags               = var.tags
}

resource "aws_appautoscaling_policy" "cpu" {
  count = local.on_ec2 ? 0 : 1

  name               = "${var.name}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.agents[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.agents[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.agents[0].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.target_cpu_percent
    scale_out_cooldown = local.cooldown.out
    scale_in_cooldown  = local.cooldown.in

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

resource "aws_appautoscaling_policy" "bytes_in" {
  count = local.on_ec2 ? 0 : 1

  name               = "${var.name}-bytes-in"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.agents[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.agents[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.agents[0].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = local.target_bytes_in
    scale_out_cooldown = local.cooldown.out
    scale_in_cooldown  = local.cooldown.in

    customized_metric_specification {
      namespace   = local.metrics_namespace
      metric_name = "BytesIn"
      statistic   = "Average"
      unit        = "Bytes/Second"

      dynamic "dimensions" {
        for_each = local.dimensions["broker"]

        content {
          name  = dimensions.key
          value = dimensions.value
        }
      }
    }
  }
}

locals {
  cooldown        = { out = 60, in = 900 } # seconds
  target_bytes_in = var.target_mib_in_per_agent * 1024 * 1024
}

# The same for an Auto Scaling group. It shrinks only after a quarter of an hour below the aim as it is.
resource "aws_autoscaling_policy" "cpu" {
  count = local.on_ec2 ? 1 : 0

  name                      = "${var.name}-cpu"
  autoscaling_group_name    = aws_autoscaling_group.agents[0].name
  policy_type               = "TargetTrackingScaling"
  estimated_instance_warmup = local.cooldown.out

  target_tracking_configuration {
    target_value = var.target_cpu_percent

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}

resource "aws_autoscaling_policy" "bytes_in" {
  count = local.on_ec2 ? 1 : 0

  name                      = "${var.name}-bytes-in"
  autoscaling_group_name    = aws_autoscaling_group.agents[0].name
  policy_type               = "TargetTrackingScaling"
  estimated_instance_warmup = local.cooldown.out

  target_tracking_configuration {
    target_value = local.target_bytes_in

    customized_metric_specification {
      namespace   = local.metrics_namespace
      metric_name = "BytesIn"
      statistic   = "Average"
      unit        = "Bytes/Second"

      dynamic "metric_dimension" {
        for_each = local.dimensions["broker"]

        content {
          name  = metric_dimension.key
          value = metric_dimension.value
        }
      }
    }
  }
}
