# With launch = "ec2" the agents are instances of an Auto Scaling group, each with a volume of its own for the WAL, so
# that acks=1 has a disk under it which outlives a crash of the process and of the machine.

locals {
  user_data = templatefile("${path.module}/instance.sh.tftpl", {
    image               = var.image
    region              = data.aws_region.current.name
    log_group           = aws_cloudwatch_log_group.this.name
    data_dir            = local.data_dir
    stop_after          = local.stop_after
    device              = local.wal_device
    settings            = local.settings["broker"]
    password_secret_arn = var.redis.password_secret_arn == null ? "" : var.redis.password_secret_arn
    group               = var.name
    hook                = local.hook
  })

  wal_device = "/dev/sdf"
  hook       = "${var.name}-drain"
}

resource "aws_iam_role_policy" "instance" {
  count = local.on_ec2 ? 1 : 0

  name = "instance"
  role = aws_iam_role.agent["broker"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(local.starting, [{
      Sid      = "Drained"
      Effect   = "Allow"
      Action   = ["autoscaling:CompleteLifecycleAction"]
      Resource = "arn:${data.aws_partition.current.partition}:autoscaling:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:autoScalingGroup:*:autoScalingGroupName/${var.name}"
    }])
  })
}

resource "aws_iam_instance_profile" "agent" {
  count = local.on_ec2 ? 1 : 0

  name = "${var.name}-broker-${data.aws_region.current.name}"
  role = aws_iam_role.agent["broker"].name
  tags = var.tags
}

resource "aws_launch_template" "agent" {
  count = local.on_ec2 ? 1 : 0

  name                   = var.name
  image_id               = var.ami_id
  instance_type          = var.instance_type
  update_default_version = true
  user_data              = base64encode(local.user_data)
  tags                   = var.tags

  iam_instance_profile {
    arn = aws_iam_instance_profile.agent[0].arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required" # version 2 only, which is what agents speak
    http_put_response_hop_limit = 1          # the container shares the instance's network
    instance_metadata_tags      = "disabled"
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = var.assign_public_ip
    security_groups             = [aws_security_group.agents.id]
    delete_on_termination       = true
  }

  block_device_mappings {
    device_name = local.wal_device

    ebs {
      volume_type           = "gp3"
      volume_size           = var.wal_volume.size_gib
      iops                  = var.wal_volume.iops
      throughput            = var.wal_volume.throughput
      encrypted             = true
      delete_on_termination = !var.wal_volume.keep
    }
  }

  dynamic "tag_specifications" {
    for_each = ["instance", "volume"]

    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, local.instance_tags)
    }
  }
}

locals {
  instance_tags = { Name = "${var.name}-agent", "odradek:cluster" = var.cluster }
}

resource "aws_autoscaling_group" "agents" {
  count = local.on_ec2 ? 1 : 0

  name                      = var.name
  min_size                  = var.agents.min
  max_size                  = var.agents.max
  vpc_zone_identifier       = var.subnet_ids
  target_group_arns         = [aws_lb_target_group.agents.arn]
  health_check_type         = "ELB"
  health_check_grace_period = 600
  default_cooldown          = local.cooldown.out
  default_instance_warmup   = local.cooldown.out
  wait_for_capacity_timeout = "0" # an instance is ready when its agent is, which /readyz says

  launch_template {
    id      = aws_launch_template.agent[0].id
    version = aws_launch_template.agent[0].latest_version
  }

  # An instance that is to go waits until its agent has given its partitions away, at most this long.
  initial_lifecycle_hook {
    name                 = local.hook
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = local.stop_after + 60
    default_result       = "CONTINUE"
  }

  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 134
    }
  }

  dynamic "tag" {
    for_each = merge(var.tags, local.instance_tags)

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  depends_on = [
    aws_lb_listener.kafka,
    aws_iam_role_policy.bucket,
    aws_iam_role_policy.instance,
    aws_vpc_security_group_egress_rule.agents,
  ]

  lifecycle {
    ignore_changes = [desired_capacity] # the scaling policies' business
  }
}
