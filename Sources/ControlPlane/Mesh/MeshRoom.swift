// Services, routes and policies become `EnvoyAPI` resources, per proxy.
