"""Serves AWS' APIs out of memory, by moto, with what the provider asks for and moto lacks. Usage: server.py PORT"""

import json
import sys

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.server import main

# The provider reads the tags of a scalable target after it made it, and asks again and again if it gets no answer.
tags = {}


def tag_resource(self):
    tags.setdefault(self._get_param("ResourceARN"), {}).update(self._get_param("Tags") or {})
    return json.dumps({})


def list_tags_for_resource(self):
    return json.dumps({"Tags": tags.get(self._get_param("ResourceARN"), {})})


ApplicationAutoScalingResponse.tag_resource = tag_resource
ApplicationAutoScalingResponse.list_tags_for_resource = list_tags_for_resource

main(["-H", "127.0.0.1", "-p", sys.argv[1]])
